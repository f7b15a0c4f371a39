import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, renameSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { notifySocket } from './notify-socket.js'
import { at, startDaemon } from './servers.js'
import { missingProgram, NEVE, neve, requireReal, sampleTree, temporaryFolder } from './support.js'

describe('a service manager', () => {
  test.for<[string, () => string]>([
    ['a path', () => join(temporaryFolder(), 'notify')],
    ['an abstract name', () => `@neve-notify-${process.pid}-${Date.now()}`],
  ])('is told at %s when clients can connect, and when it stops', async ([, make], context) => {
    requireReal(context, missingProgram('python3', '--version'))
    const address = make()
    const { heard } = await notifySocket(address)
    const folder = temporaryFolder()
    const flags = ['-l', join(folder, 'socket'), '--store', join(folder, 'store')]
    const daemon = await startDaemon(flags, { NOTIFY_SOCKET: address }, 'daemon')
    await heard('READY=1\n')
    expect(await daemon.stop()).toBe(0)
    await heard('READY=1\nSTOPPING=1\n')
  })

  test('that does not listen is no reason to end', async () => {
    const folder = temporaryFolder()
    const flags = ['-l', join(folder, 'socket'), '--store', join(folder, 'store')]
    const daemon = await startDaemon(flags, { NOTIFY_SOCKET: join(folder, 'nobody') }, 'daemon')
    expect(daemon.stderr()).toContain('unable to send: no such file or directory')
    expect(await daemon.stop()).toBe(0)
  })
})

/** Lines of a unit file: the values of each key, by section. */
function readUnit(name: string): Map<string, string[]> {
  const text = readFileSync(new URL(`../../../docs/systemd/${name}`, import.meta.url), 'utf8')
  const values = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const [, key, value] = /^([A-Za-z]+)=(.*)$/.exec(line) ?? []
    if (key !== undefined) values.set(key, [...(values.get(key) ?? []), value!])
  }
  return values
}

test('08#5 the units of docs/systemd start a daemon that serves', async () => {
  const [socketUnit, serviceUnit] = [readUnit('neve.socket'), readUnit('neve.service')]
  expect(socketUnit.get('ListenStream')).toEqual(['/run/neve.sock'])
  expect(serviceUnit.get('Type')).toEqual(['notify'])
  const [program, ...args] = serviceUnit.get('ExecStart')![0]!.split(' ')
  expect(program).toBe('/usr/bin/neve')
  expect(Number(serviceUnit.get('TimeoutStopSec'))).toBeGreaterThan(Number(args.at(-1)))

  // What systemd does, in a folder of its own.
  const folder = temporaryFolder()
  const server = createServer().listen(join(folder, 'made'))
  await once(server, 'listening')
  const socket = join(folder, 'neve.sock')
  renameSync(join(folder, 'made'), socket)
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle
  const child = spawn('sh', ['-c', 'LISTEN_PID=$$ exec "$@"', 'sh', process.execPath, NEVE, ...args], {
    env: {
      PATH: process.env['PATH'],
      NEVE_STORE: join(folder, 'store'),
      LISTEN_FDS: '1',
      LISTEN_FDNAMES: socketUnit.get('FileDescriptorName')![0],
    },
    stdio: ['ignore', 'pipe', 'ignore', fd],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let stdout = ''
  child.stdout!.on('data', (piece) => (stdout += piece))
  server.close()
  // The first connection waits until the daemon takes it.
  const flags = [...at(`grpc+unix:${socket}`), '--path-info-service-addr', `grpc+unix:${socket}`]
  const imported = await neve(['import', sampleTree(folder), ...flags])
  expect([imported.code, imported.stderr]).toEqual([0, ''])
  child.kill('SIGTERM')
  expect(await once(child, 'exit')).toEqual([0, null])
  expect(stdout).toBe('')
})
