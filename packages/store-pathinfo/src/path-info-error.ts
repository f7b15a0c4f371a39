import { StoreError } from './errors.js'

/** What is wrong with a path info, with its figures (spec 07 section 4.1). */
export type PathInfoCondition =
  /** The bytes are no message. */
  | { readonly kind: 'Malformed' }
  | { readonly kind: 'NarInfoFieldMissing' }
  | { readonly kind: 'InvalidReferenceDigestLen'; readonly index: number; readonly length: number }
  | {
      readonly kind: 'InconsistentNumberOfReferences'
      readonly references: number
      readonly referenceNames: number
    }
  | { readonly kind: 'InvalidNarinfoReferenceName'; readonly index: number; readonly name: string }
  | {
      readonly kind: 'InconsistentNarinfoReferenceNameDigest'
      readonly index: number
      readonly reference: Uint8Array
      readonly fromName: Uint8Array
    }
  | { readonly kind: 'NoEntryPresent' }
  | { readonly kind: 'InvalidRootNode' }
  | { readonly kind: 'InvalidNodeName'; readonly name: Uint8Array }
  | { readonly kind: 'InvalidNarSha256DigestLen'; readonly length: number }
  | { readonly kind: 'InvalidDeriverField' }
  | { readonly kind: 'InvalidSignature'; readonly index: number; readonly length: number }
  | { readonly kind: 'InvalidCaField'; readonly type: number; readonly length: number }

/**
 * A path info that is not valid. The cause, where there is one, is the error of the part that was refused: a
 * StorePathError, a SignatureError, an error of castore-model.
 */
export class InvalidPathInfoError extends StoreError {
  constructor(
    readonly condition: PathInfoCondition,
    detail: string,
    cause?: unknown,
  ) {
    super('invalid-path-info', `the path info ${detail}`, condition.kind, { cause })
  }
}
