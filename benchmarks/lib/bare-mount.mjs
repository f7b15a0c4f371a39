// A mount whose one file is answered from memory, by the loop that every mount has: no filesystem over it can be quicker. With
// `random` or `text`, each chunk that is asked for is made from what a store has of such content, and verified, first.
import { B3Digest, blake3 } from '@neve/castore-model'
import { expandInto, packedBound, packRecord, RECORD_HEADER, RecordKind } from '@neve/embedded-store/record'
import {
  CastoreFilesystem,
  DeviceTransport,
  FuseSession,
  MapRootNodes,
  mountDevice,
} from '../../packages/fs-fuse/dist/index.js'
import { ContentSource } from './content.mjs'

const CHUNK = 256 * 1024
/** As many as one request may touch. */
const AT_ONCE = 5

const [mountpoint = '', size = '0', content] = process.argv.slice(2)
const source = new ContentSource(5)
const chunk = content === 'text' ? source.text(CHUNK) : source.random(CHUNK)
const digest = blake3.digest(chunk)
const packed = new Uint8Array(packedBound(CHUNK))
const stored = packed.subarray(RECORD_HEADER, packRecord(packed, 0, RecordKind.content, digest, chunk, 0))
/** @type {Map<number, Buffer>} the chunks that were asked for last */
const made = new Map()

const node = { kind: 'file', digest: B3Digest.from(digest), size: BigInt(size), executable: false }
const filesystem = new CastoreFilesystem({
  roots: new MapRootNodes([['file', /** @type {any} */ (node)]]),
  content: { directory: () => undefined, open: () => ({ readAt, close: () => {} }) },
})
const { descriptor } = await mountDevice(mountpoint)
await new FuseSession(filesystem, new DeviceTransport(descriptor, { blocking: true })).run()

/**
 * @param {number} offset
 * @param {number} length
 */
function readAt(offset, length) {
  const end = Math.min(offset + length, Number(size))
  const pieces = []
  for (let at = offset; at < end; ) {
    const from = at % CHUNK
    const part = Math.min(CHUNK - from, end - at)
    pieces.push(chunkAt((at - from) / CHUNK).subarray(from, from + part))
    at += part
  }
  return pieces
}

/** @param {number} index */
function chunkAt(index) {
  if (content === undefined) return chunk
  const known = made.get(index)
  if (known !== undefined) return known
  const [oldest] = made.keys()
  const room = made.size < AT_ONCE ? undefined : made.get(oldest ?? 0)
  if (room !== undefined) made.delete(oldest ?? 0)
  const out = room ?? Buffer.alloc(CHUNK)
  if (stored.length < CHUNK) expandInto(out, stored)
  else out.set(stored)
  if (Buffer.compare(blake3.digest(out), digest) !== 0) throw new Error('the chunk differs')
  made.set(index, out)
  return out
}
