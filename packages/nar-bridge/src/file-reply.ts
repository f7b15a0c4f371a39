import type { FileNode } from '@neve/castore-model'
import { type BlobReader, type BlobService, blobStream, DataLossError } from '@neve/castore-services'
import { parseRange } from './byte-range.js'
import { isKnown, wantedRange } from './conditions.js'
import { type BridgeRequest, begun, type Reply, textReply } from './exchange.js'
import { typeByContent, typeByName } from './media-types.js'

/** How much of a file is looked at to tell text from other bytes. */
const LOOK_AT = 4096

/**
 * The content of a file, or a range of it: with its length, and a tag that is its digest.
 *
 * @param name what tells its type; where that says nothing, its first bytes do
 * @param headers more to answer with
 * @throws DataLossError when the content is not in the store
 */
export async function fileReply(
  blobs: Pick<BlobService, 'open'>,
  file: FileNode,
  name: Uint8Array,
  request: BridgeRequest,
  headers: Readonly<Record<string, string>> = {},
): Promise<Reply> {
  const { method, signal } = request
  const { size } = file
  const etag = `"${file.digest.toHex()}"`
  const always = {
    'cache-control': 'no-cache',
    'x-content-type-options': 'nosniff',
    ...headers,
    'accept-ranges': 'bytes',
    etag,
  }
  if (isKnown(request, etag)) return { status: 304, headers: always }
  const header = method === 'GET' ? wantedRange(request, etag) : undefined
  const range = header === undefined ? undefined : parseRange(header, size)
  if (range === 'unsatisfiable') {
    const text = `expected a range within 0 to ${size}\n`
    return textReply(text, { status: 416, headers: { ...always, 'content-range': `bytes */${size}` } })
  }
  const reader = await openWhole(blobs, file, signal)
  let closing = true
  try {
    const type = typeByName(name) ?? typeByContent(await reader.readAt(0n, LOOK_AT, { signal }))
    const { start, end } = range ?? { start: 0n, end: size }
    const length = end - start
    const told = { ...always, 'content-type': type, 'content-length': `${length}` }
    if (method === 'HEAD') return { status: 200, headers: told }
    const source = await begun(closedAfter(reader, blobStream(reader, { start, end, signal })))
    closing = false
    const body = { source, length }
    if (range === undefined) return { status: 200, headers: told, body }
    const part = { 'content-range': `bytes ${start}-${end - 1n}/${size}` }
    return { status: 206, headers: { ...told, ...part }, body }
  } finally {
    if (closing) await reader.close()
  }
}

/**
 * Opens the content of a file.
 *
 * @throws DataLossError when it is not in the store, or of another size
 */
export async function openWhole(
  blobs: Pick<BlobService, 'open'>,
  { digest, size }: FileNode,
  signal: AbortSignal,
): Promise<BlobReader> {
  const reader = await blobs.open(digest, { signal, sizeHint: size })
  if (reader?.size === size) return reader
  await reader?.close()
  const found = reader === undefined ? 'does not exist' : `has ${reader.size} bytes, expected ${size}`
  throw new DataLossError(digest, 'this store', `blob ${digest} ${found}`)
}

async function* closedAfter(
  reader: BlobReader,
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* pieces
  } finally {
    await reader.close()
  }
}
