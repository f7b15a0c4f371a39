// Large blobs from memory into a service, and out of one to nowhere.
import { blobStream } from '@neve/castore-services'

/** @typedef {import('@neve/castore-services').BlobService} BlobService */
/** @typedef {import('@neve/castore-model').B3Digest} B3Digest */

/**
 * @param {BlobService} blobs
 * @param {Uint8Array} content
 */
export async function upload(blobs, content) {
  const writer = blobs.openWrite()
  for (let at = 0; at < content.length; at += 1024 * 1024)
    await writer.write(content.subarray(at, at + 1024 * 1024))
  return await writer.close()
}

/**
 * @param {BlobService} blobs
 * @param {B3Digest} digest
 */
export async function download(blobs, digest) {
  const reader = await blobs.open(digest)
  if (reader === undefined) throw new Error(`blob ${digest} is missing`)
  for await (const _piece of blobStream(reader));
  await reader.close()
}
