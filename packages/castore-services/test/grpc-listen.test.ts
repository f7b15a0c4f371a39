import { join } from 'node:path'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { GrpcBlobService, openGrpcChannel } from '@neve/castore-services/grpc'
import { castoreServer } from '@neve/castore-services/grpc/server'
import { describe, expect, it } from 'vitest'
import { HELLO } from '../src/contract/blob-fixtures.js'
import { deferred } from './deferred.js'
import { temporaryFolder } from './embedded-fixture.js'

const server = (blobs = new MemoryBlobService()) => castoreServer({ blobs })

async function answers(url: string): Promise<boolean> {
  await using channel = await openGrpcChannel(url, { waitConnect: true })
  return (await new GrpcBlobService(channel).has(HELLO.digest)) === false
}

describe('an address to listen on', () => {
  it('is served on, each of several', async () => {
    await using both = server()
    const path = join(temporaryFolder(), 'a socket')
    const urls = [
      (await both.listen('127.0.0.1:0')).url,
      (await both.listen('[::1]:0')).url,
      (await both.listen(path)).url,
    ]
    expect(urls[2]).toBe(`grpc+unix:${encodeURI(path)}`)
    for (const url of urls) expect(await answers(url)).toBe(true)
  })

  it('is refused while another server has it', async () => {
    await using first = server()
    const { address } = await first.listen('127.0.0.1:0')
    await using second = server()
    await expect(second.listen(address)).rejects.toMatchObject({ code: 'unavailable' })
  })
})

/** A server whose answers wait, a call that waits for one, and what lets it go. */
async function busy() {
  const begun = deferred<void>()
  const go = deferred<void>()
  const blobs = new MemoryBlobService()
  blobs.has = async () => {
    begun.resolve()
    await go.promise
    return true
  }
  const listener = await server(blobs).listen('127.0.0.1:0')
  const channel = await openGrpcChannel(listener.url)
  const call = new GrpcBlobService(channel).has(HELLO.digest)
  call.catch(() => {})
  await begun.promise
  return { listener, channel, call, go }
}

describe('a server that closes', () => {
  it('lets calls end that run, takes no new ones, and may be told so twice', async () => {
    const { listener, channel, call, go } = await busy()
    const closing = listener.close()
    expect(listener.close({ grace: 1 })).toBe(closing)
    await expect(openGrpcChannel(listener.url, { waitConnect: true })).rejects.toMatchObject({
      code: 'unavailable',
    })
    go.resolve()
    expect(await call).toBe(true)
    await closing
    await listener.close()
    await channel.close()
  })

  it('cuts off what takes longer than the grace', async () => {
    const { listener, channel, call } = await busy()
    await listener.close({ grace: 20 })
    await expect(call).rejects.toMatchObject({ code: 'unavailable' })
    await channel.close()
  })
})
