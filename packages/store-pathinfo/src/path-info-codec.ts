import {
  CastoreModelError,
  compareBytes,
  DirectoryError,
  decodeNamedNode,
  encodeNode,
  type Node,
} from '@neve/castore-model'
import { checkU64 } from '@neve/castore-model/wire'
import { ContentAddress, digestSize, NixHash, Signature, StorePath, StorePathError } from '@neve/nix-compat'
import { caOfType, typeOfCa } from './ca-type.js'
import type { PathInfo } from './path-info.js'
import { InvalidPathInfoError } from './path-info-error.js'
import {
  type NamedBytes,
  type NarInfoMessage,
  type PathInfoMessage,
  readPathInfoMessage,
  writePathInfoMessage,
} from './path-info-message.js'

/**
 * The message `PathInfo` of spec 07 section 2.3, canonically encoded. It is also the stored form.
 *
 * @throws InvalidSizeError for a NAR size outside 0 … 2^64−1; InvalidPathInfoError for a NAR hash of another length
 */
export function encodePathInfo(info: PathInfo): Uint8Array {
  const { deriver, ca, narSha256 } = info
  if (narSha256.length !== 32) throw wrongNarSha256(narSha256.length)
  checkU64(info.narSize)
  return writePathInfoMessage({
    entry: encodeNode(new TextEncoder().encode(info.storePath.toString()), info.node),
    references: info.references.map(({ digest }) => digest),
    narInfo: {
      narSize: info.narSize,
      narSha256,
      signatures: info.signatures.map(({ name, data }) => ({ name, bytes: data })),
      referenceNames: info.references.map(String),
      deriver: deriver && { name: deriver.name, bytes: deriver.digest },
      ca: ca && { type: typeOfCa(ca), digest: ca.hash.digest },
    },
  })
}

/**
 * Reads a `PathInfo` message, unknown fields passed over, and checks it in the order of spec 07 section 4.1. Nothing of
 * the bytes is kept.
 *
 * @throws InvalidPathInfoError
 */
export function decodePathInfo(bytes: Uint8Array): PathInfo {
  return pathInfoOfMessage(decodePathInfoMessage(bytes))
}

/**
 * Reads a `PathInfo` message without looking at what it says.
 *
 * @throws InvalidPathInfoError `Malformed`
 */
export function decodePathInfoMessage(bytes: Uint8Array): PathInfoMessage {
  try {
    return readPathInfoMessage(bytes)
  } catch (error) {
    throw new InvalidPathInfoError({ kind: 'Malformed' }, `cannot be read: ${messageOf(error)}`, error)
  }
}

/** @throws InvalidPathInfoError */
export function pathInfoOfMessage(message: PathInfoMessage): PathInfo {
  const { narInfo } = message
  if (narInfo === undefined) {
    throw new InvalidPathInfoError({ kind: 'NarInfoFieldMissing' }, 'has no narinfo')
  }
  const references = readReferences(message.references, narInfo.referenceNames)
  const { storePath, node } = readRoot(message)
  const { narSize, narSha256 } = narInfo
  if (narSha256.length !== 32) throw wrongNarSha256(narSha256.length)
  return {
    storePath,
    node,
    references,
    narSize,
    narSha256: new Uint8Array(narSha256),
    deriver: readDeriver(narInfo),
    signatures: narInfo.signatures.map(readSignature),
    ca: readCa(narInfo),
  }
}

function readReferences(digests: readonly Uint8Array[], names: readonly string[]): StorePath[] {
  for (const [index, { length }] of digests.entries()) {
    if (length !== 20) {
      throw new InvalidPathInfoError(
        { kind: 'InvalidReferenceDigestLen', index, length },
        `has reference ${index} with a digest of ${length} bytes, expected 20`,
      )
    }
  }
  if (names.length !== digests.length) {
    throw new InvalidPathInfoError(
      {
        kind: 'InconsistentNumberOfReferences',
        references: digests.length,
        referenceNames: names.length,
      },
      `has ${digests.length} references and ${names.length} names of them`,
    )
  }
  return names.map((name, index) => {
    const path = storePath(name, (error) => {
      const condition = { kind: 'InvalidNarinfoReferenceName', index, name } as const
      const detail = `has reference name ${index}, ${shown(name)}, that is no store path: ${error.message}`
      return new InvalidPathInfoError(condition, detail, error)
    })
    const reference = digests[index]!
    if (compareBytes(path.digest, reference) !== 0) {
      const [expected, actual] = [reference, path.digest].map((digest) =>
        Buffer.from(digest).toString('base64'),
      )
      throw new InvalidPathInfoError(
        {
          kind: 'InconsistentNarinfoReferenceNameDigest',
          index,
          reference: new Uint8Array(reference),
          fromName: path.digest,
        },
        `has reference ${index} with digest ${expected}, but its name ${name} has ${actual}`,
      )
    }
    return path
  })
}

/** The store path and the node of the root, which is there and named after it. */
export function readRoot({ entry }: PathInfoMessage): { readonly storePath: StorePath; readonly node: Node } {
  if (entry === undefined) {
    throw new InvalidPathInfoError({ kind: 'NoEntryPresent' }, 'has no root node')
  }
  let named: ReturnType<typeof decodeNamedNode>
  try {
    named = decodeNamedNode(entry)
  } catch (error) {
    if (!(error instanceof CastoreModelError || error instanceof DirectoryError)) throw error
    const detail = `has an invalid root node: ${error.message}`
    throw new InvalidPathInfoError({ kind: 'InvalidRootNode' }, detail, error)
  }
  const { bytes } = named.name
  return {
    storePath: storePath(bytes, (error) => {
      const condition = { kind: 'InvalidNodeName', name: bytes } as const
      const detail = `has a root node whose name ${shown(named.name.toString())} is no store path: ${error.message}`
      return new InvalidPathInfoError(condition, detail, error)
    }),
    node: named.node,
  }
}

function readDeriver({ deriver }: NarInfoMessage): StorePath | undefined {
  if (deriver === undefined) return undefined
  const { name, bytes } = deriver
  try {
    return new StorePath(bytes, name)
  } catch (error) {
    const detail = `has an invalid deriver ${shown(name)}: ${messageOf(error)}`
    throw new InvalidPathInfoError({ kind: 'InvalidDeriverField' }, detail, error)
  }
}

function readSignature({ name, bytes }: NamedBytes, index: number): Signature {
  try {
    return new Signature(name, bytes)
  } catch (error) {
    const condition = { kind: 'InvalidSignature', index, length: bytes.length } as const
    throw new InvalidPathInfoError(condition, `has an invalid signature ${index}: ${messageOf(error)}`, error)
  }
}

function readCa({ ca }: NarInfoMessage): ContentAddress | undefined {
  if (ca === undefined) return undefined
  const { type, digest } = ca
  const condition = { kind: 'InvalidCaField', type, length: digest.length } as const
  const known = caOfType(type)
  if (known === undefined) {
    throw new InvalidPathInfoError(condition, `has a content address of unknown type ${type}`)
  }
  const { method, algorithm } = known
  if (digest.length !== digestSize(algorithm)) {
    const expected = `expected ${digestSize(algorithm)} for ${algorithm}`
    throw new InvalidPathInfoError(condition, `has a content address of ${digest.length} bytes, ${expected}`)
  }
  return new ContentAddress(method, new NixHash(algorithm, digest))
}

function wrongNarSha256(length: number): InvalidPathInfoError {
  const condition = { kind: 'InvalidNarSha256DigestLen', length } as const
  return new InvalidPathInfoError(condition, `has a NAR hash of ${length} bytes, expected 32`)
}

function storePath(
  text: string | Uint8Array,
  refusal: (error: StorePathError) => InvalidPathInfoError,
): StorePath {
  try {
    return StorePath.parse(text)
  } catch (error) {
    throw error instanceof StorePathError ? refusal(error) : error
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function shown(text: string): string {
  return JSON.stringify(text.length > 300 ? `${text.slice(0, 300)}…` : text)
}
