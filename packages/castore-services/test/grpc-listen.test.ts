import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, lstatSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { GrpcBlobService, openGrpcChannel } from '@neve/castore-services/grpc'
import { castoreServer, parseListenAddress } from '@neve/castore-services/grpc/server'
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
  it.each([
    ['127.0.0.1:8000', { kind: 'tcp', host: '127.0.0.1', port: 8000 }],
    ['[::1]:0', { kind: 'tcp', host: '[::1]', port: 0 }],
    ['localhost:65535', { kind: 'tcp', host: 'localhost', port: 65_535 }],
    ['unix:/run/castore.sock', { kind: 'unix', path: '/run/castore.sock' }],
    ['unix:///run/castore.sock', { kind: 'unix', path: '/run/castore.sock' }],
    ['/run/castore.sock', { kind: 'unix', path: '/run/castore.sock' }],
  ])('is read: %s', (text, expected) => {
    expect(parseListenAddress(text)).toEqual(expected)
  })

  it.each([
    ['', 'host:port'],
    ['localhost', 'host:port'],
    [':8000', 'host:port'],
    ['::1:8000', 'host:port'],
    ['localhost:65536', 'host:port'],
    ['localhost:http', 'host:port'],
    ['http://localhost:80', 'host:port'],
    ['unix:', 'absolute path'],
    ['unix:relative', 'absolute path'],
    ['unix:/', 'absolute path'],
    ['/nul\0', 'NULs'],
    [`/${'x'.repeat(107)}`, 'at most 107 bytes'],
  ])('is refused with what was expected: %s', (text, expected) => {
    expect(() => parseListenAddress(text)).toThrow(expected)
    expect(() => parseListenAddress(text)).toThrow(`got '${text}'`)
  })

  it('is served on, each of several', async () => {
    await using both = server()
    const path = join(temporaryFolder(), 'a socket')
    const urls = [
      (await both.listen('127.0.0.1:0')).url,
      (await both.listen('localhost:0')).url,
      (await both.listen(`unix:${path}`)).url,
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

describe('the file of a socket', () => {
  it('is replaced when nobody answers on it', async () => {
    const path = join(temporaryFolder(), 'socket')
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
    expect(spawnSync(process.execPath, ['-e', script]).signal).toBe('SIGKILL')
    expect(lstatSync(path).isSocket()).toBe(true)
    await using over = server()
    expect(await answers((await over.listen(path)).url)).toBe(true)
  })

  it('is left alone when somebody answers on it', async () => {
    const path = join(temporaryFolder(), 'socket')
    const other = createServer((socket) => socket.end()).listen(path)
    await once(other, 'listening')
    await using over = server()
    const listening = over.listen(path)
    await expect(listening).rejects.toMatchObject({ code: 'unavailable' })
    await expect(listening).rejects.toThrow('another server answers there')
    expect(existsSync(path)).toBe(true)
    other.close()
  })

  it.each([
    ['a file', (path: string) => writeFileSync(path, 'precious')],
    ['a link', (path: string) => symlinkSync('/dev/null', path)],
  ])('is not put in the place of %s', async (_what, make) => {
    const path = join(temporaryFolder(), 'socket')
    make(path)
    const before = lstatSync(path).ino
    await using over = server()
    const listening = over.listen(path)
    await expect(listening).rejects.toMatchObject({ code: 'invalid-input' })
    await expect(listening).rejects.toThrow('no socket')
    expect(lstatSync(path).ino).toBe(before)
  })

  it('has the permissions that were asked for, and is gone after the close', async () => {
    const path = join(temporaryFolder(), 'socket')
    const listener = await server().listen(path, { mode: 0o600 })
    expect(lstatSync(path).mode & 0o777).toBe(0o600)
    await listener.close()
    expect(existsSync(path)).toBe(false)
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
