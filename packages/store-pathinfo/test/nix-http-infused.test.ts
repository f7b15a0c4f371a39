import { Readable } from 'node:stream'
import type { Node } from '@neve/castore-model'
import { GrpcBlobService, GrpcDirectoryService, openGrpcChannel } from '@neve/castore-services/grpc'
import { castoreServer } from '@neve/castore-services/grpc/server'
import { dumpPath } from '@neve/nar/node'
import { formatNarInfo, NixHash, StorePath } from '@neve/nix-compat'
import { formatInfusedNar, ingestNar, renderNar } from '@neve/store-pathinfo'
import { NixHttpPathInfoService, type RemoteCastore } from '@neve/store-pathinfo/nix-http'
import { beforeAll, describe, expect, it } from 'vitest'
import { makeRandomTree } from './host-trees.js'
import { httpServer } from './http-server.js'
import { collect, memoryServices } from './support.js'

const storePath = StorePath.parse('s66mzxpvicwk07gjbjfw9izjfa797vsw-hello-2.12.1')
const origin = memoryServices()
let nar: Buffer
let node: Node

beforeAll(async () => {
  nar = await collect(Readable.from(dumpPath(makeRandomTree(31, 20))))
  ;({ node } = await ingestNar(origin, Readable.from([nar])))
})

/** A cache and castore services of one host; the narinfo's URL names a node. */
async function bridge(named: Node) {
  const server = castoreServer(origin)
  const listener = await server.listen('127.0.0.1:0')
  const url = formatInfusedNar({ node: named, narSize: BigInt(nar.length) })
  const text = formatNarInfo({
    storePath,
    url,
    compression: 'none',
    narHash: NixHash.of('sha256', nar),
    narSize: BigInt(nar.length),
    references: [],
    signatures: [],
  })
  const http = await httpServer((request, response) => {
    if (request.url!.endsWith('.narinfo')) response.end(text)
    else response.end(nar)
  })
  const openCastore = async (): Promise<RemoteCastore> => {
    const channel = await openGrpcChannel(listener.url)
    return {
      blobs: new GrpcBlobService(channel),
      directories: new GrpcDirectoryService(channel),
      close: () => channel.close(),
    }
  }
  const close = async () => {
    await http.close()
    await server.close()
  }
  return { http, url, openCastore, close, [Symbol.asyncDispose]: close }
}

describe('a cache that names castore nodes', () => {
  it('07 13.7: what is missing comes by castore, and no NAR is downloaded', async () => {
    const target = memoryServices()
    await using from = await bridge(node)
    const address = `nix+http://127.0.0.1:${from.http.port}`
    const service = new NixHttpPathInfoService({ address, ...target, openCastore: from.openCastore })
    const info = await service.get(storePath.digest)
    await service.close()
    expect(info?.node).toEqual(node)
    expect(Buffer.compare(await collect(renderNar(target, info!.node)), nar)).toBe(0)
    expect(from.http.requests).toHaveLength(1)
  })

  it('what is not the NAR that was promised is not believed: it is downloaded', async () => {
    const target = memoryServices()
    const digest = await origin.blobs.put(new TextEncoder().encode('something else'))
    await using from = await bridge({ kind: 'file', digest, size: 14n, executable: false })
    const troubles: unknown[] = []
    const service = new NixHttpPathInfoService({
      address: `nix+http://127.0.0.1:${from.http.port}`,
      ...target,
      openCastore: from.openCastore,
      onTrouble: ({ error }) => troubles.push(error),
    })
    expect((await service.get(storePath.digest))?.node).toEqual(node)
    await service.close()
    expect(troubles).toMatchObject([{ code: 'nar-mismatch', mismatch: 'size' }])
    expect(from.http.requests[1]).toBe(`GET /${from.url}`)
  })

  it('where there is no castore, the NAR is downloaded', async () => {
    await using from = await bridge(node)
    const troubles: unknown[] = []
    const service = new NixHttpPathInfoService({
      address: `nix+http://127.0.0.1:${from.http.port}`,
      ...memoryServices(),
      onTrouble: ({ error }) => troubles.push(error),
    })
    expect((await service.get(storePath.digest))?.node).toEqual(node)
    await service.close()
    expect(troubles).toMatchObject([{ code: 'unavailable' }])
  })

  it('with force_download_nar, castore is not asked', async () => {
    await using from = await bridge(node)
    const service = new NixHttpPathInfoService({
      address: `nix+http://127.0.0.1:${from.http.port}?force_download_nar=true`,
      ...memoryServices(),
      openCastore: () => expect.unreachable(),
    })
    expect((await service.get(storePath.digest))?.node).toEqual(node)
    expect(from.http.requests).toHaveLength(2)
  })
})
