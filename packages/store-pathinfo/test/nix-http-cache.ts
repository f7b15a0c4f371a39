import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { brotliCompressSync, constants } from 'node:zlib'
import { dumpPath } from '@neve/nar/node'
import { fingerprint, formatNarInfo, NixHash, SecretKey, StorePath } from '@neve/nix-compat'
import { NixHttpPathInfoService, type NixHttpPathInfoServiceInit } from '@neve/store-pathinfo/nix-http'
import { makeRandomTree } from './host-trees.js'
import { collect, memoryServices } from './support.js'

/** What the cache is signed with. */
export const key = SecretKey.generate('cache.example.org-1')
const QUICK = { retries: 2, firstPause: 1, timeout: 5000 }

/** A client of a cache on this machine, into memory unless told otherwise. */
export const clientOf = (port: number, options: Partial<NixHttpPathInfoServiceInit> = {}) =>
  new NixHttpPathInfoService({
    address: `nix+http://127.0.0.1:${port}`,
    ...memoryServices(),
    ...QUICK,
    ...options,
  })

/** A cache with one path in it, that can be changed. */
async function cacheWithOne() {
  const nar = await collect(Readable.from(dumpPath(makeRandomTree(9, 12))))
  const narHash = NixHash.of('sha256', nar)
  const storePath = StorePath.parse('s66mzxpvicwk07gjbjfw9izjfa797vsw-hello-2.12.1')
  const unsigned = { storePath, narHash, narSize: BigInt(nar.length), references: [] }
  const text = formatNarInfo({
    ...unsigned,
    url: 'nar/it.nar',
    compression: 'none',
    signatures: [key.sign(fingerprint(unsigned))],
  })
  return { nar, narHash, storePath, digest: storePath.digest, text }
}

export const one = await cacheWithOne()
/** Its NAR, compressed. */
export const brotli = brotliCompressSync(one.nar, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })
export const narInfoUrl = '/s66mzxpvicwk07gjbjfw9izjfa797vsw.narinfo'

/** Serves the one path, its narinfo changed, its NAR as given. */
export const serving =
  (change: (text: string) => string, nar: Uint8Array | ((response: ServerResponse) => void) = one.nar) =>
  (request: IncomingMessage, response: ServerResponse): void => {
    if (request.url === narInfoUrl) response.end(change(one.text))
    else if (!request.url!.startsWith('/nar/')) response.writeHead(404).end()
    else if (typeof nar === 'function') nar(response)
    else response.end(nar)
  }
export const asIs = (text: string) => text
