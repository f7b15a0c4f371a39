import type { Node } from '@neve/castore-model'
import { decodeNamedNode, encodeNode } from '@neve/castore-model'
import { StorePath } from '@neve/nix-compat'
import { StoreError } from './errors.js'
import { MessageReader, MessageWriter } from './message.js'

/** A signature over the fingerprint of a path info: key name and 64 bytes of Ed25519. */
export interface PathInfoSignature {
  readonly name: string
  readonly data: Uint8Array
}

/** What a content address was made from; the numbers are those of the wire (spec 07 section 2.5). */
export const CaKind = {
  narSha256: 0,
  narSha1: 1,
  narSha512: 2,
  narMd5: 3,
  textSha256: 4,
  flatSha1: 5,
  flatMd5: 6,
  flatSha256: 7,
  flatSha512: 8,
} as const
export type CaKind = (typeof CaKind)[keyof typeof CaKind]

const CA_LENGTHS = [32, 20, 64, 16, 32, 20, 16, 32, 64]

/** The content address that a store path was made from. */
export interface PathInfoCa {
  readonly kind: CaKind
  readonly digest: Uint8Array
}

/** Maps a store path to its contents, with what is needed to make its narinfo again (spec 07 section 3). */
export interface PathInfo {
  readonly storePath: StorePath
  readonly node: Node
  readonly references: readonly StorePath[]
  /** Length of the NAR in bytes. */
  readonly narSize: bigint
  readonly narSha256: Uint8Array
  readonly signatures: readonly PathInfoSignature[]
  /** The derivation, its name without `.drv`. */
  readonly deriver: StorePath | undefined
  readonly ca: PathInfoCa | undefined
}

/** The message `PathInfo` of spec 07 section 2.3, canonically encoded. It is also the stored form. */
export function encodePathInfo(info: PathInfo): Uint8Array {
  const message = new MessageWriter()
  message.bytes(1, encodeNode(new TextEncoder().encode(info.storePath.toString()), info.node), true)
  for (const reference of info.references) message.bytes(2, reference.digest, true)
  const narInfo = new MessageWriter()
  narInfo.number(1, info.narSize)
  narInfo.bytes(2, info.narSha256)
  for (const signature of info.signatures) {
    narInfo.bytes(3, new MessageWriter().text(1, signature.name).bytes(2, signature.data).finish(), true)
  }
  for (const reference of info.references) narInfo.text(4, reference.toString(), true)
  if (info.deriver !== undefined) {
    const { name, digest } = info.deriver
    narInfo.bytes(5, new MessageWriter().text(1, name).bytes(2, digest).finish(), true)
  }
  if (info.ca !== undefined) {
    narInfo.bytes(
      6,
      new MessageWriter().number(1, BigInt(info.ca.kind)).bytes(2, info.ca.digest).finish(),
      true,
    )
  }
  return message.bytes(3, narInfo.finish(), true).finish()
}

/**
 * Reads a `PathInfo` message, unknown fields ignored, and checks it in the order of spec 07 section 4.1.
 *
 * @throws StoreError `invalid-path-info`, the condition in `reason`
 */
export function decodePathInfo(bytes: Uint8Array): PathInfo {
  const message = read(bytes, 'PathInfo')
  const narInfoBytes = message.last(3)
  if (narInfoBytes === undefined) throw invalid('NarInfoFieldMissing', 'has no narinfo')
  const narInfo = read(narInfoBytes, 'NARInfo')
  const digests = message.all(2)
  const names = narInfo.all(4)
  for (const [i, digest] of digests.entries()) {
    if (digest.length !== 20) {
      throw invalid(
        'InvalidReferenceDigestLen',
        `reference ${i} has a digest of ${digest.length} bytes, expected 20`,
      )
    }
  }
  if (names.length !== digests.length) {
    throw invalid(
      'InconsistentNumberOfReferences',
      `has ${digests.length} references and ${names.length} names of them`,
    )
  }
  const references = names.map((name, i) => {
    const text = new TextDecoder().decode(name)
    const path = parseStorePath(
      text,
      'InvalidNarinfoReferenceName',
      `reference name ${i} ${JSON.stringify(text)}`,
    )
    if (Buffer.compare(path.digest, digests[i]!) !== 0) {
      throw invalid('InconsistentNarinfoReferenceNameDigest', `reference ${i} is not ${text}`)
    }
    return path
  })
  const narSha256 = narInfo.last(2) ?? new Uint8Array(0)
  const nodeBytes = message.last(1)
  if (nodeBytes === undefined) throw invalid('NoNodePresent', 'has no root node')
  const { storePath, node } = readRoot(nodeBytes)
  if (narSha256.length !== 32) {
    throw invalid('InvalidNarSha256DigestLen', `has a NAR hash of ${narSha256.length} bytes, expected 32`)
  }
  return {
    storePath,
    node,
    references,
    narSize: narInfo.number(1),
    narSha256,
    signatures: narInfo.all(3).map(readSignature),
    deriver: readDeriver(narInfo.last(5)),
    ca: readCa(narInfo.last(6)),
  }
}

function readRoot(bytes: Uint8Array): { storePath: StorePath; node: Node } {
  let named: { readonly name: { readonly bytes: Uint8Array }; readonly node: Node }
  try {
    named = decodeNamedNode(bytes)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw invalid('InvalidRootNode', `has an invalid root node: ${reason}`, error)
  }
  const text = new TextDecoder().decode(named.name.bytes)
  return {
    storePath: parseStorePath(text, 'InvalidNodeName', `root node name ${JSON.stringify(text)}`),
    node: named.node,
  }
}

function readSignature(bytes: Uint8Array, i: number): PathInfoSignature {
  const message = read(bytes, 'Signature')
  const data = message.last(2) ?? new Uint8Array(0)
  if (data.length !== 64)
    throw invalid('InvalidSignature', `signature ${i} has ${data.length} bytes, expected 64`)
  return { name: new TextDecoder().decode(message.last(1) ?? new Uint8Array(0)), data }
}

function readDeriver(bytes: Uint8Array | undefined): StorePath | undefined {
  if (bytes === undefined) return undefined
  const message = read(bytes, 'StorePath')
  const name = new TextDecoder().decode(message.last(1) ?? new Uint8Array(0))
  try {
    return new StorePath(message.last(2) ?? new Uint8Array(0), name)
  } catch (error) {
    throw invalid('InvalidDeriverField', `has an invalid deriver ${JSON.stringify(name)}`, error)
  }
}

function readCa(bytes: Uint8Array | undefined): PathInfoCa | undefined {
  if (bytes === undefined) return undefined
  const message = read(bytes, 'CA')
  const kind = Number(message.number(1))
  const digest = message.last(2) ?? new Uint8Array(0)
  const expected = CA_LENGTHS[kind]
  if (expected === undefined) throw invalid('InvalidCaField', `has a content address of unknown type ${kind}`)
  if (digest.length !== expected) {
    throw invalid('InvalidCaField', `has a content address of ${digest.length} bytes, expected ${expected}`)
  }
  return { kind: kind as CaKind, digest }
}

function read(bytes: Uint8Array, what: string): MessageReader {
  try {
    return new MessageReader(bytes)
  } catch (error) {
    throw invalid('Malformed', `cannot be read as ${what}`, error)
  }
}

function parseStorePath(text: string, reason: string, what: string): StorePath {
  try {
    return StorePath.parse(text)
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error)
    throw invalid(reason, `${what} is not a store path: ${detail}`, error)
  }
}

function invalid(reason: string, detail: string, cause?: unknown): StoreError {
  return new StoreError('invalid-path-info', `the path info ${detail}`, reason, { cause })
}
