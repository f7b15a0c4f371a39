import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, lstatSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import {
  type BoundSocket,
  isLoopback,
  type ListenSocketOptions,
  listenOn,
  parseListenAddress,
} from '@neve/castore-services/listen'
import { describe, expect, it, onTestFinished } from 'vitest'
import { passedSockets } from '../src/listen/passed-sockets.js'
import { temporaryFolder } from './embedded-fixture.js'

async function listening(text: string, options?: ListenSocketOptions): Promise<BoundSocket> {
  const address = parseListenAddress(text)
  if (address.kind === 'stdio') throw new Error('not here')
  const [bound] = await listenOn(address, (socket) => socket.end('hello'), options)
  onTestFinished(() => bound!.close())
  return bound!
}

async function greeting(socket: Socket): Promise<string> {
  let text = ''
  for await (const piece of socket) text += String(piece)
  return text
}

/** A socket that a process has left behind. */
function stale(): string {
  const path = join(temporaryFolder(), 'socket')
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  expect(spawnSync(process.execPath, ['-e', script]).signal).toBe('SIGKILL')
  expect(lstatSync(path).isSocket()).toBe(true)
  return path
}

const permissions = (path: string): string => (lstatSync(path).mode & 0o777).toString(8).padStart(4, '0')

describe('08#4 a socket', () => {
  it('of TCP, with the port that it got; without delay', async () => {
    const bound = await listening('127.0.0.1:0', { keepAlive: 60_000, backlog: 5 })
    const port = Number(/^127\.0\.0\.1:(\d+)$/.exec(bound.address)?.[1])
    expect(await greeting(connect(port, '127.0.0.1'))).toBe('hello')
    await expect(listening(bound.address)).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('[::] takes IPv4 too, unless told not to', async () => {
    const both = await listening('[::]:0')
    const port = Number(both.address.split(':').at(-1))
    expect([both.remote, await greeting(connect(port, '127.0.0.1'))]).toEqual([true, 'hello'])
    await both.close()
    const six = await listening(`[::]:${port}`, { ipv6Only: true })
    expect(await greeting(connect(port, '::1'))).toBe('hello')
    await expect(greeting(connect(port, '127.0.0.1'))).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await six.close()
  })

  it('of a path that begins with ./', async () => {
    const folder = temporaryFolder()
    const before = process.cwd()
    process.chdir(folder)
    try {
      expect((await listening('./socket')).address).toBe(join(folder, 'socket'))
    } finally {
      process.chdir(before)
    }
    expect(await greeting(connect(join(folder, 'socket')))).toBe('hello')
  })

  it('with an abstract name, under which others than Node find it', async () => {
    const name = `neve-${process.pid}-${Date.now()}`.padEnd(107, 'x')
    await listening(`@${name}`)
    // Node itself fills shorter names up with NULs when it connects.
    expect(await greeting(connect(`\0${name}`))).toBe('hello')
    await expect(listening(`@${name}`)).rejects.toThrow('address already in use')
    await listening(`@${name.slice(0, 40)}`)
    const names = readFileSync('/proc/net/unix', 'utf8')
      .split('\n')
      .map((line) => line.split(' ').at(-1))
    expect(names).toContain(`@${name.slice(0, 40)}`)
  })

  it('is of this machine alone, or not', () => {
    const own = ['127.0.0.1', '127.255.0.1', '::1', '::ffff:127.0.0.1']
    const others = ['0.0.0.0', '::', '192.0.2.1', '::ffff:192.0.2.1', '1127.0.0.1']
    expect(own.filter((address) => !isLoopback(address))).toEqual([])
    expect(others.filter(isLoopback)).toEqual([])
  })
})

describe('08#3 the file of a socket', () => {
  it('that was left behind is in the way, and replaced when asked', async () => {
    const path = stale()
    await expect(listening(path)).rejects.toThrow('a server that is gone left its socket there')
    await listening(path, { unlink: true })
    expect(await greeting(connect(path))).toBe('hello')
  })

  it('is never taken from somebody who answers on it', async () => {
    const path = join(temporaryFolder(), 'socket')
    const other = createServer((socket) => socket.end()).listen(path)
    await once(other, 'listening')
    onTestFinished(() => void other.close())
    for (const unlink of [false, true]) {
      const refused = listening(path, { unlink })
      await expect(refused).rejects.toMatchObject({ code: 'unavailable' })
      await expect(refused).rejects.toThrow('another server answers there')
    }
    expect(existsSync(path)).toBe(true)
  })

  it('of several that begin at once on one that was left behind, one has it', async () => {
    const path = stale()
    const all = await Promise.allSettled(Array.from({ length: 8 }, () => listening(path, { unlink: true })))
    expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(await greeting(connect(path))).toBe('hello')
  })

  it.each([
    ['a file', (path: string) => writeFileSync(path, 'precious')],
    ['a link', (path: string) => symlinkSync('/dev/null', path)],
  ])('is not put in the place of %s', async (_what, make) => {
    const path = join(temporaryFolder(), 'socket')
    make(path)
    const before = lstatSync(path).ino
    const refused = listening(path, { unlink: true })
    await expect(refused).rejects.toMatchObject({ code: 'invalid-input' })
    await expect(refused).rejects.toThrow('no socket')
    expect(lstatSync(path).ino).toBe(before)
  })

  it.each([0o600, 0o660, 0o666])('has permissions %o, and is gone after the close', async (mode) => {
    const path = join(temporaryFolder(), 'socket')
    const umask = process.umask()
    const bound = await listening(path, { mode })
    expect([permissions(path), process.umask()]).toEqual([`0${mode.toString(8)}`, umask])
    await bound.close()
    expect(existsSync(path)).toBe(false)
  })

  it('gets its owner', async (context) => {
    if (process.getuid?.() !== 0) context.skip('only root can give files away')
    const path = join(temporaryFolder(), 'socket')
    await listening(path, { uid: 1234, gid: 5678 })
    const { uid, gid } = lstatSync(path)
    expect([uid, gid, permissions(path)]).toEqual([1234, 5678, `0${(0o777 & ~process.umask()).toString(8)}`])
  })

  it('in a folder that is not there: a refusal, and the umask as it was', async () => {
    const umask = process.umask()
    const refused = listening(join(temporaryFolder(), 'none', 'socket'), { mode: 0o600 })
    await expect(refused).rejects.toMatchObject({ code: 'unavailable' })
    expect(process.umask()).toBe(umask)
  })

  it('is left to the process that ends early: nobody else has to clear up', () => {
    const path = join(temporaryFolder(), 'socket')
    const script = `
      import { listenOn } from '@neve/castore-services/listen'
      await listenOn({ kind: 'unix', path: ${JSON.stringify(path)} }, () => {})
      process.exit(7)`
    const { status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd: import.meta.dirname,
    })
    expect([status, existsSync(path)]).toEqual([7, false])
  })

  it('does not keep modules from being found', () => {
    const path = join(temporaryFolder(), 'socket')
    const script = `
      import { listenOn } from '@neve/castore-services/listen'
      const [file] = await listenOn({ kind: 'unix', path: ${JSON.stringify(path)} }, () => {})
      const [named] = await listenOn({ kind: 'abstract', name: ${JSON.stringify(path)} }, () => {})
      await Promise.all([file.close(), named.close()])`
    const node = [
      process.execPath,
      ['--input-type=module', '-e', script],
      { cwd: import.meta.dirname },
    ] as const
    const { status, stderr } = spawnSync(...node)
    expect([status, String(stderr)]).toEqual([0, ''])
  })

  it('of somebody else stays', async () => {
    const path = join(temporaryFolder(), 'socket')
    const bound = await listening(path)
    renameSync(path, `${path}.moved`)
    await bound.close()
    expect(existsSync(`${path}.moved`)).toBe(true)
  })
})

describe('08#5 sockets that were passed', () => {
  const variables = { LISTEN_PID: '42', LISTEN_FDS: '3', LISTEN_FDNAMES: 'http:grpc:grpc' }
  const environment = { pid: 42, variables }

  it('are the first, those of a name, or all', () => {
    expect(passedSockets({}, environment)).toEqual([3])
    expect(passedSockets({ name: 'grpc' }, environment)).toEqual([4, 5])
    expect(passedSockets({ all: true }, environment)).toEqual([3, 4, 5])
    expect(passedSockets({ ignoreEnvironment: true }, { pid: 1, variables: {} })).toEqual([3])
  })

  it.each([
    ['LISTEN_PID is not set', { ...variables, LISTEN_PID: undefined }, {}],
    ["LISTEN_PID is '41', expected this process, 42", { ...variables, LISTEN_PID: '41' }, {}],
    ["LISTEN_PID is '042'", { ...variables, LISTEN_PID: '042' }, {}],
    ['LISTEN_FDS is not set', { ...variables, LISTEN_FDS: undefined }, {}],
    ["LISTEN_FDS is '0'", { ...variables, LISTEN_FDS: '0' }, {}],
    ["LISTEN_FDS is '-1'", { ...variables, LISTEN_FDS: '-1' }, {}],
    ["LISTEN_FDS is '9999'", { ...variables, LISTEN_FDS: '9999' }, {}],
    ["none is named 'ssh' in LISTEN_FDNAMES, which is 'http:grpc:grpc'", variables, { name: 'ssh' }],
    ["none is named 'grpc'", { ...variables, LISTEN_FDNAMES: undefined }, { name: 'grpc' }],
    ["none is named 'grpc'", { ...variables, LISTEN_FDS: '1' }, { name: 'grpc' }],
  ])('are refused: %s', (reason, given, wanted) => {
    expect(() => passedSockets(wanted, { pid: 42, variables: given })).toThrow(reason)
  })
})
