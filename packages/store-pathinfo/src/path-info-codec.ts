import {
  CastoreModelError,
  compareBytes,
  DirectoryError,
  decodeNamedNode,
  encodeNode,
  type Node,
} from '@neve/castore-model'
import { fromUint64, toUint64 } from '@neve/castore-model/proto'
import { ContentAddress, digestSize, NixHash, Signature, StorePath, StorePathError } from '@neve/nix-compat'
import { caOfType, typeOfCa } from './ca-type.js'
import { snix } from './generated/store-proto.js'
import type { PathInfo } from './path-info.js'
import { InvalidPathInfoError } from './path-info-error.js'

/** The message `PathInfo`, as protobufjs has it; both generations have the same bytes. */
export type PathInfoMessage = snix.store.v1.PathInfo.$Properties
type NarInfoMessage = snix.store.v1.NARInfo.$Properties

const NOTHING = new Uint8Array(0)

/**
 * The message `PathInfo` of spec 07 section 2.3, canonically encoded. It is also the stored form.
 *
 * @throws InvalidSizeError for a NAR size outside 0 … 2^64−1; InvalidPathInfoError for a NAR hash of another length
 */
export function encodePathInfo(info: PathInfo): Uint8Array {
  const { deriver, ca, narSha256 } = info
  if (narSha256.length !== 32) throw wrongNarSha256(narSha256.length)
  const named = encodeNode(new TextEncoder().encode(info.storePath.toString()), info.node)
  const bytes = snix.store.v1.PathInfo.encode({
    entry: snix.castore.v1.Entry.decode(named),
    references: info.references.map(({ digest }) => digest),
    narinfo: {
      nar_size: toUint64(info.narSize),
      nar_sha256: narSha256,
      signatures: info.signatures.map(({ name, data }) => ({ name, data })),
      reference_names: info.references.map(String),
      ...(deriver && { deriver: { name: deriver.name, digest: deriver.digest } }),
      ...(ca && { ca: { type: typeOfCa(ca), digest: ca.hash.digest } }),
    },
  }).finish()
  // A plain array of its own: what comes out is a view of a pool.
  return new Uint8Array(bytes)
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
    return snix.store.v1.PathInfo.decode(bytes)
  } catch (error) {
    throw new InvalidPathInfoError({ kind: 'Malformed' }, `cannot be read: ${messageOf(error)}`, error)
  }
}

/** @throws InvalidPathInfoError */
export function pathInfoOfMessage(message: PathInfoMessage): PathInfo {
  const { narinfo } = message
  if (narinfo === undefined || narinfo === null) {
    throw new InvalidPathInfoError({ kind: 'NarInfoFieldMissing' }, 'has no narinfo')
  }
  const references = readReferences(message.references ?? [], narinfo.reference_names ?? [])
  const { storePath, node } = readRoot(message)
  const narSha256 = narinfo.nar_sha256 ?? NOTHING
  if (narSha256.length !== 32) throw wrongNarSha256(narSha256.length)
  return {
    storePath,
    node,
    references,
    narSize: fromUint64(narinfo.nar_size ?? 0),
    narSha256: new Uint8Array(narSha256),
    deriver: readDeriver(narinfo),
    signatures: (narinfo.signatures ?? []).map(readSignature),
    ca: readCa(narinfo),
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
  if (entry === undefined || entry === null) {
    throw new InvalidPathInfoError({ kind: 'NoEntryPresent' }, 'has no root node')
  }
  let named: ReturnType<typeof decodeNamedNode>
  try {
    named = decodeNamedNode(snix.castore.v1.Entry.encode(entry).finish())
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
  if (deriver === undefined || deriver === null) return undefined
  const name = deriver.name ?? ''
  try {
    return new StorePath(deriver.digest ?? NOTHING, name)
  } catch (error) {
    const detail = `has an invalid deriver ${shown(name)}: ${messageOf(error)}`
    throw new InvalidPathInfoError({ kind: 'InvalidDeriverField' }, detail, error)
  }
}

function readSignature(
  { name, data }: snix.store.v1.NARInfo.Signature.$Properties,
  index: number,
): Signature {
  try {
    return new Signature(name ?? '', data ?? NOTHING)
  } catch (error) {
    const condition = { kind: 'InvalidSignature', index, length: data?.length ?? 0 } as const
    throw new InvalidPathInfoError(condition, `has an invalid signature ${index}: ${messageOf(error)}`, error)
  }
}

function readCa({ ca }: NarInfoMessage): ContentAddress | undefined {
  if (ca === undefined || ca === null) return undefined
  const { type = 0, digest = NOTHING } = { type: ca.type ?? 0, digest: ca.digest ?? NOTHING }
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
