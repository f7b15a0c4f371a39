import { blobStream } from '@neve/castore-services'
import {
  BuildStorePathError,
  buildStorePath,
  type ContentAddress,
  fingerprint,
  MAX_NARINFO_LENGTH,
  NixHash,
  NixHasher,
  type ParsedNarInfo,
  type PublicKey,
  parseNarInfo,
} from '@neve/nix-compat'
import { EmbeddedPathInfoService, fromNarInfo, type PathInfo, parseInfusedNar } from '@neve/store-pathinfo'
import type { BridgeStore } from './bridge-options.js'
import type { BridgeRequest } from './exchange.js'
import { HttpError } from './http-error.js'
import type { UploadedNar } from './upload-record.js'
import type { UploadedNars } from './uploaded-nars.js'

/**
 * Takes a narinfo that a client puts, checks it against the NAR that was put before, and stores it.
 *
 * @param digest that its name says, 20 bytes
 * @param keys one of these must have signed it, if there are any
 * @returns what is stored, once it is durable
 * @throws HttpError 400, 403, 413; NarInfoError; StoreError `already-exists`
 */
export async function receiveNarInfo(
  store: BridgeStore,
  uploads: UploadedNars,
  digest: Uint8Array,
  request: BridgeRequest,
  keys: readonly PublicKey[],
): Promise<PathInfo> {
  const { signal } = request
  const info = parseNarInfo(await wholeBody(request, MAX_NARINFO_LENGTH))
  if (Buffer.compare(info.storePath.digest, digest) !== 0) {
    throw new HttpError(400, `${info.storePath} is not the store path in the URL`)
  }
  checkReferences(info)
  const nar = await uploads.find(narName(info), signal)
  if (nar === undefined) {
    throw new HttpError(400, `expected the NAR at ${info.url} to be uploaded before its narinfo`)
  }
  checkNar(info, nar)
  checkSignature(info, keys)
  if (info.ca !== undefined) await checkContentAddress(store, info, info.ca, nar, signal)
  const { pathInfos } = store
  const named = fromNarInfo(info, nar.node)
  return await uploads.adopt(nar, (session) =>
    pathInfos instanceof EmbeddedPathInfoService
      ? pathInfos.put(named, { signal, session })
      : pathInfos.put(named, { signal }),
  )
}

/** @throws HttpError 413 */
export async function wholeBody(request: BridgeRequest, maxLength: number): Promise<Buffer> {
  const announced = Number(request.header('content-length') ?? 0)
  const tooLong = () => new HttpError(413, `expected at most ${maxLength} bytes`)
  if (announced > maxLength) throw tooLong()
  const pieces: Buffer[] = []
  let length = 0
  for await (const piece of request.body) {
    length += piece.length
    if (length > maxLength) throw tooLong()
    pieces.push(Buffer.from(piece))
  }
  return Buffer.concat(pieces)
}

/** The name under which the NAR was put: that of the URL, or its hash where the URL names its contents. */
function narName({ url, narHash }: ParsedNarInfo): string {
  const name = /^(?:\.\/)?nar\/([^/?]+)$/.exec(url)?.[1]
  if (name !== undefined) return name
  if (parseInfusedNar(url) !== undefined) return `${narHash.toNixbase32()}.nar`
  throw new HttpError(400, `expected the URL of a NAR of this cache, nar/…, got ${JSON.stringify(url)}`)
}

function checkReferences({ quirks }: ParsedNarInfo): void {
  if (quirks.has('missing-references')) throw new HttpError(400, 'expected a line References, got none')
  if (quirks.has('unordered-references')) {
    throw new HttpError(400, 'expected references in ascending order, each once')
  }
}

function checkNar(info: ParsedNarInfo, nar: UploadedNar): void {
  const differs = (what: string, expected: unknown, actual: unknown) =>
    new HttpError(400, `the NAR that was uploaded has another ${what}: expected ${expected}, got ${actual}`)
  const narHash = new NixHash('sha256', nar.narSha256)
  if (!info.narHash.equals(narHash)) throw differs('NarHash', info.narHash.toNix(), narHash.toNix())
  if (info.narSize !== nar.narSize) throw differs('NarSize', info.narSize, nar.narSize)
  const fileHash = new NixHash('sha256', nar.fileHash)
  if (info.fileHash !== undefined && !info.fileHash.equals(fileHash)) {
    throw differs('FileHash', info.fileHash.toNix(), fileHash.toNix())
  }
  if (info.fileSize !== undefined && info.fileSize !== nar.fileSize) {
    throw differs('FileSize', info.fileSize, nar.fileSize)
  }
  if (info.compression !== nar.form) throw differs('Compression', info.compression, nar.form)
}

function checkSignature(info: ParsedNarInfo, keys: readonly PublicKey[]): void {
  if (keys.length === 0) return
  const text = fingerprint(info)
  if (info.signatures.some((signature) => keys.some((key) => key.verify(text, signature)))) return
  const names = keys.map(({ name }) => name).join(', ')
  throw new HttpError(403, `expected a signature of ${names}`)
}

/** What says of itself that its name follows from its contents is believed by clients without any signature. */
async function checkContentAddress(
  store: BridgeStore,
  info: ParsedNarInfo,
  ca: ContentAddress,
  nar: UploadedNar,
  signal: AbortSignal,
): Promise<void> {
  const { storePath } = info
  const references = info.references.filter((path) => !path.equals(storePath))
  const self = references.length < info.references.length
  try {
    if (!buildStorePath(storePath.name, ca, { references, self }).equals(storePath)) {
      throw new HttpError(400, `${ca} gives another store path than ${storePath}`)
    }
  } catch (error) {
    if (!(error instanceof BuildStorePathError)) throw error
    throw new HttpError(400, error.message, {}, { cause: error })
  }
  // What mentions its own path is hashed without these mentions (spec 09 section 10).
  if (self) return
  const actual = await contentHash(store, ca, nar, signal)
  if (actual?.equals(ca.hash) !== true) {
    throw new HttpError(400, `the contents have another content address than ${ca}`)
  }
}

/** @returns undefined for a hash of one file where there is none */
async function contentHash(
  store: BridgeStore,
  { method, hash: { algorithm } }: ContentAddress,
  { node, narSha256 }: UploadedNar,
  signal: AbortSignal,
): Promise<NixHash | undefined> {
  const hasher = new NixHasher(algorithm)
  if (method === 'recursive') {
    if (algorithm === 'sha256') return new NixHash('sha256', narSha256)
    for await (const piece of store.nar(node, { signal })) hasher.update(piece)
    return hasher.finish()
  }
  if (node.kind !== 'file') return undefined
  await using reader = await store.blobs.open(node.digest, { signal })
  if (reader === undefined) return undefined
  for await (const piece of blobStream(reader, { signal })) hasher.update(piece)
  return hasher.finish()
}
