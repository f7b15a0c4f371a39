import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, renameSync, statSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { B3Digest } from '@neve/castore-model'
import { GrpcBlobService, openGrpcChannel } from '@neve/castore-services/grpc'
import { describe, expect, onTestFinished, test } from 'vitest'
import { at, startDaemon } from './servers.js'
import { NEVE, neve, ONE_LINE, sampleTree, temporaryFolder } from './support.js'

/** Whether a whole answer comes from there. */
async function answers(url: string): Promise<boolean> {
  await using channel = await openGrpcChannel(url)
  return (await new GrpcBlobService(channel).has(B3Digest.of(new Uint8Array(9)))) === false
}

describe('08#4 a daemon listens on', () => {
  test('several addresses at once: TCP, a socket file, an abstract socket', async () => {
    const folder = temporaryFolder()
    const name = `neve-cli-${process.pid}-${Date.now()}`
    const options = ['--tcp-only-v6', '--tcp-keepalive', '60000', '--tcp-listen-backlog', '16']
    const daemon = await startDaemon(
      ['-l', '127.0.0.1:0', '-l', '[::1]:0', '-l', './s.sock', '-l', `@${name}`, ...options],
      { NEVE_STORE: join(folder, 'store') },
      'daemon',
      { cwd: folder },
    )
    const socket = join(folder, 's.sock')
    expect(daemon.urls.slice(2)).toEqual([`grpc+unix:${socket}`, `@${name}`])
    for (const url of daemon.urls.slice(0, 3)) expect(await answers(url)).toBe(true)
    expect(await daemon.stop()).toBe(0)
    expect(existsSync(socket)).toBe(false)
  })

  test.each([
    ['owner', 0o600],
    ['group', 0o660],
    ['everybody', 0o666],
  ])('socket files for %s', async (who, mode) => {
    const folder = temporaryFolder()
    const socket = join(folder, 's.sock')
    const { stop } = await startDaemon([
      '-l',
      socket,
      '--unix-listen-chmod',
      who,
      '--store',
      join(folder, 'store'),
    ])
    expect(statSync(socket).mode & 0o777).toBe(mode)
    expect(await stop()).toBe(0)
  })

  test.each(['stdio', '-', 'inetd'])('one connection over standard input and output: %s', async (address) => {
    const folder = temporaryFolder()
    const child = spawn(process.execPath, [NEVE, 'daemon', '-l', address, '--store', join(folder, 'store')], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    let stderr = ''
    child.stderr.on('data', (piece) => (stderr += piece))
    const ended = once(child, 'exit')
    // A client that connects to this socket talks to the daemon.
    const socket = join(folder, 'relay')
    const relay = createServer((client) => {
      client.pipe(child.stdin)
      child.stdout.pipe(client)
      client.on('error', () => {})
    }).listen(socket)
    await once(relay, 'listening')
    onTestFinished(() => void relay.close())
    expect(await answers(`grpc+unix:${socket}`)).toBe(true)
    // It ends with its connection, by itself.
    expect(await ended).toEqual([0, null])
    expect(stderr).toContain('neve: serving on standard input and output\n')
  })
})

/** Passes listening sockets as systemd does: from descriptor 3 on, with variables of this pid. */
async function activated(
  sockets: readonly Server[],
  variables: string,
  ...args: readonly string[]
): Promise<{ readonly child: ReturnType<typeof spawn>; readonly outcome: Promise<string> }> {
  const descriptors = sockets.map((server) => (server as unknown as { _handle: { fd: number } })._handle.fd)
  const script = `${variables} exec "$@"`
  const command = [process.execPath, NEVE, 'daemon', '--store', join(temporaryFolder(), 'store'), ...args]
  const child = spawn('sh', ['-c', script, 'sh', ...command], {
    stdio: ['ignore', 'ignore', 'pipe', ...descriptors],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  // From here on they are the daemon's.
  for (const server of sockets) server.close()
  const outcome = new Promise<string>((resolve) => {
    let text = ''
    child.stderr!.on('data', (piece) => {
      text += piece
      if (text.includes('serving on')) resolve(text)
    })
    child.once('exit', (code) => resolve(`${text}(exit ${code})`))
  })
  return { child, outcome }
}

async function listeningFile(): Promise<{ readonly server: Server; readonly path: string }> {
  const folder = temporaryFolder()
  const server = createServer().listen(join(folder, 'made'))
  await once(server, 'listening')
  // Node deletes the name that it made when it closes its own descriptor.
  renameSync(join(folder, 'made'), join(folder, 'socket'))
  return { server, path: join(folder, 'socket') }
}

async function listeningPort(host = '127.0.0.1'): Promise<{ readonly server: Server; readonly url: string }> {
  const server = createServer().listen(0, host)
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  return { server, url: `grpc+http://127.0.0.1:${port}` }
}

describe('08#5 a daemon that systemd started', () => {
  test('serves on the unix socket that it is given, and leaves its file', async () => {
    const { server, path } = await listeningFile()
    const { child, outcome } = await activated([server], 'LISTEN_PID=$$ LISTEN_FDS=1', '-l', 'sd-listen')
    expect(await outcome).toContain('neve: serving on fd:3\n')
    expect(await answers(`grpc+unix:${path}`)).toBe(true)
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
    expect(existsSync(path)).toBe(true)
  })

  test('serves on a TCP socket that it is given', async () => {
    const { server, url } = await listeningPort()
    const { outcome } = await activated([server], 'LISTEN_PID=$$ LISTEN_FDS=1', '-l', 'sd_listen')
    expect(await outcome).toContain(`neve: serving on ${url}\n`)
    expect(await answers(url)).toBe(true)
  })

  test('finds sockets by their name, and all of them', async () => {
    const [file, port] = [await listeningFile(), await listeningPort()]
    const variables = 'LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=files:grpc'
    const named = await activated([file.server, port.server], variables, '-l', 'sd-listen:grpc')
    expect(await named.outcome).toContain(`neve: serving on ${port.url}\n`)

    const more = [await listeningFile(), await listeningPort()] as const
    const all = await activated([more[0].server, more[1].server], variables, '-l', 'sd-listen:*')
    expect(await all.outcome).toContain(`neve: serving on fd:3 ${more[1].url}\n`)
    for (const url of [`grpc+unix:${more[0].path}`, more[1].url]) expect(await answers(url)).toBe(true)
  })

  test.each([
    ['a wrong pid', 'LISTEN_PID=1 LISTEN_FDS=1', 'sd-listen', "LISTEN_PID is '1', expected this process"],
    ['no variables', '', 'sd-listen', 'LISTEN_PID is not set'],
    ['no number', 'LISTEN_PID=$$', 'sd-listen', 'LISTEN_FDS is not set'],
    ['another name', 'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=a', 'sd-listen:b', "none is named 'b'"],
  ])('refuses with %s', async (_what, variables, address, reason) => {
    const { outcome } = await activated([(await listeningFile()).server], variables, '-l', address)
    expect(await outcome).toMatch(ONE_LINE_AND_EXIT)
    expect(await outcome).toContain(reason)
  })

  test('looks at no variables when told so', async () => {
    const { server, path } = await listeningFile()
    const { outcome } = await activated([server], '', '-l', 'sd-listen', '--sd-accept-ignore-environment')
    expect(await outcome).toContain('serving on fd:3')
    expect(await answers(`grpc+unix:${path}`)).toBe(true)
  })

  test('refuses what is no listening socket', async () => {
    const child = await neve(
      [
        'daemon',
        '-l',
        'sd-listen',
        '--sd-accept-ignore-environment',
        '--store',
        join(temporaryFolder(), 'store'),
      ],
      { through: ['sh', '-c', 'exec "$@" 3</dev/null', 'sh'] },
    )
    expect([child.code, child.stderr]).toEqual([1, expect.stringMatching(ONE_LINE)])
    expect(child.stderr).toContain('unable to listen on fd:3')
  })

  test('lets nobody in by a socket that others can reach, unless told so', async () => {
    const listen = ['LISTEN_PID=$$ LISTEN_FDS=1', '-l', 'sd-listen'] as const
    const refused = await activated([(await listeningPort('0.0.0.0')).server], ...listen)
    expect(await refused.outcome).toContain('can be reached by others: give --tls-client-ca or --token-file')
    expect(await refused.outcome).toContain('(exit 2)')
    const { server, url } = await listeningPort('0.0.0.0')
    const told = await activated([server], ...listen, '--insecure')
    expect(await told.outcome).toContain('serving on')
    expect(await answers(url)).toBe(true)
  })
})

const ONE_LINE_AND_EXIT = /^neve: [^\n]+\n\(exit 1\)$/

describe('08#7 the environment', () => {
  test('says where to listen and what to serve, where no flag does', async () => {
    const folder = temporaryFolder()
    const [one, two, three] = ['one', 'two', 'three'].map((name) => join(folder, name))
    const env = { NEVE_LISTEN_ADDRESS: `${one} ${two}`, NEVE_STORE: join(folder, 'store') }
    const daemon = await startDaemon([], env, 'daemon')
    expect(daemon.urls).toEqual([`grpc+unix:${one}`, `grpc+unix:${two}`])
    const tree = sampleTree(folder)
    const variables = { BLOB_SERVICE_ADDR: 'grpc+unix:/nowhere', NEVE_BLOB_SERVICE_ADDR: `grpc+unix:${one}` }
    const same = { DIRECTORY_SERVICE_ADDR: `grpc+unix:${two}`, PATH_INFO_SERVICE_ADDR: `grpc+unix:${one}` }
    const imported = await neve(['import', tree], { env: { ...variables, ...same } })
    expect([imported.code, imported.stderr]).toEqual([0, ''])
    const flag = await startDaemon(['-l', three!, '--store', join(folder, 'other')], env, 'daemon')
    expect(flag.urls).toEqual([`grpc+unix:${three}`])
    const listed = await neve(['ls', imported.lines[0]!, ...at(flag.urls[0]!)], { env: same })
    expect([listed.code, listed.stderr]).toEqual([1, expect.stringMatching(ONE_LINE)])
    expect(await daemon.stop()).toBe(0)
    expect((await neve(['ls', imported.lines[0]!], { env })).code).toBe(0)
  })
})
