// The peer of gRPC: HTTP/2 of Node without it, the same bytes, hashed at both ends.
import { once } from 'node:events'
import { connect } from 'node:http2'
import { createConnection } from 'node:net'
import { B3Digest, blake3 } from '@neve/castore-model'

/** @typedef {import('node:http2').ClientHttp2Session} ClientHttp2Session */

const WINDOW = 8 * 1024 * 1024

/**
 * @param {string} socket
 * @returns {Promise<ClientHttp2Session>}
 */
export async function connectPlain(socket) {
  const session = connect('http://localhost', {
    createConnection: () => createConnection(socket),
    settings: { initialWindowSize: WINDOW },
  })
  await once(session, 'connect')
  session.setLocalWindowSize(WINDOW)
  return session
}

/**
 * @param {ClientHttp2Session} plain
 * @param {Uint8Array} content
 */
export async function plainPut(plain, content) {
  const request = plain.request({ ':method': 'POST' })
  const hasher = blake3.hasher()
  for (let at = 0; at < content.length; at += 256 * 1024) {
    const piece = content.subarray(at, at + 256 * 1024)
    hasher.update(piece)
    if (!request.write(piece)) await once(request, 'drain')
  }
  request.end()
  for await (const _piece of request);
  hasher.digest()
}

/**
 * @param {ClientHttp2Session} plain
 * @param {B3Digest} digest
 */
export async function plainGet(plain, digest) {
  const request = plain.request({ ':path': `/${digest.toHex()}` })
  const hasher = blake3.hasher()
  for await (const piece of request) hasher.update(piece)
  if (!B3Digest.adopt(hasher.digest()).equals(digest)) throw new Error('wrong bytes')
}
