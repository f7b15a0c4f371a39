import { createHash } from 'node:crypto'
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { openLocalStore } from '@neve/store-pathinfo'
import { collectGarbage } from '@neve/store-pathinfo/gc'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { isMounted, look, missingMounts, mountPoint, startMount } from './mounts.js'
import { notifySocket } from './notify-socket.js'
import { missingProgram, neve, newStore, noise, ONE_LINE, requireReal, temporaryFolder } from './support.js'

/** A store with one file of several chunks. */
async function storeOf(content: Uint8Array) {
  const store = newStore()
  const file = join(temporaryFolder(), 'file')
  writeFileSync(file, content)
  const { lines } = await store.run('import', file)
  return { path: store.path, name: lines[0]!.split('/').at(-1)! }
}

/** Settles once nobody holds a lease of a store: the last thing that a process does. */
async function noLeases(store: string): Promise<void> {
  while (readdirSync(join(store, 'leases')).some((name) => /^\d/.test(name))) await look('true', [])
}

describe('neve mount', () => {
  beforeEach((context) => requireReal(context, missingMounts()))

  test('goes to the background once it is mounted, and ends when it is unmounted', async () => {
    const store = await storeOf(Buffer.from('Hello World!'))
    const place = mountPoint()
    const { code, stderr } = await neve(['--store', store.path, 'mount', '--background', place])
    expect([code, stderr]).toEqual([0, `neve: mounted on ${place}\n`])
    expect(await look('cat', [join(place, store.name)])).toBe('Hello World!')
    await look('umount', [place])
    await noLeases(store.path)
    expect(isMounted(place)).toBe(false)
  })

  test('says in the foreground why it cannot be in the background', async () => {
    const { path } = await storeOf(Buffer.from('x'))
    const nowhere = join(path, 'nowhere')
    const { code, stderr } = await neve(['--store', path, 'mount', '--background', nowhere])
    expect(code).toBe(1)
    expect(stderr).toMatch(ONE_LINE)
    expect(stderr).toContain(nowhere)
    const both = await neve(['--store', path, 'mount', '--background', '--foreground', mountPoint()])
    expect(both.code).toBe(2)
    const wrong = await neve(['--store', path, 'mount', '--background', '--uid-gid', '1', mountPoint()])
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringMatching(ONE_LINE)])
  })

  test('tells a service manager when it is mounted, and when it stops', async (context) => {
    requireReal(context, missingProgram('python3', '--version'))
    const store = await storeOf(Buffer.from('x'))
    const address = join(temporaryFolder(), 'notify')
    const { heard } = await notifySocket(address)
    const mount = await startMount(['--store', store.path], { NOTIFY_SOCKET: address })
    await heard('READY=1\n')
    mount.child.kill('SIGTERM')
    await heard('READY=1\nSTOPPING=1\n')
  })

  test('tells in the log what is mounted, and ends with 0 when it is unmounted', async () => {
    const store = await storeOf(Buffer.from('x'))
    const mount = await startMount(['--store', store.path, '--log-level', 'debug'])
    expect(await mount.unmount()).toBe(0)
    expect(mount.stderr()).toContain(`mounted store=${store.path} mountpoint=${mount.place}`)
  })

  test('keeps what is open in it from the garbage collector, and lets the rest go', async () => {
    const content = noise(3_000_000)
    const store = await storeOf(content)
    const other = join(temporaryFolder(), 'other')
    writeFileSync(other, noise(100_000, 7))
    const gone = (await neve(['--store', store.path, 'import', other])).lines[0]!
    const mount = await startMount(['--store', store.path], {}, undefined, ['--gc-grace', '0s'])
    const file = openSync(join(mount.place, store.name), 'r')
    onTestFinished(() => closeSync(file))
    // Looked up, but not open: it may go.
    expect(statSync(join(mount.place, basename(gone))).size).toBe(100_000)
    const options = { all: true, olderThan: 0 }
    const { paths, waitingFor, removed } = await collectGarbage(store.path, { ...options, patience: 30_000 })
    expect(paths.map((path) => path.toAbsolute()).sort()).toEqual([gone, `/nix/store/${store.name}`].sort())
    expect(waitingFor).toEqual([])
    expect(removed).toBeGreaterThan(0)
    const left = await neve(['--store', store.path, 'path-info', '--all'])
    expect(left.lines.map((line) => line.split(/\s/)[0])).toEqual([`/nix/store/${store.name}`])
    // Read by another process, which asks for all of it anew.
    expect(await look('sha256sum', [join(mount.place, store.name)])).toContain(
      createHash('sha256').update(content).digest('hex'),
    )
    const read = Buffer.alloc(content.length)
    expect(readSync(file, read, 0, read.length, 0)).toBe(read.length)
    expect(read.equals(content)).toBe(true)
    expect(await neve(['--store', store.path, 'verify', '--all', '--nar'])).toMatchObject({
      code: 0,
      lines: [],
    })
  })

  test('keeps the directory that it shows from the garbage collector', async () => {
    const folder = join(temporaryFolder(), 'tree')
    mkdirSync(join(folder, 'below'), { recursive: true })
    writeFileSync(join(folder, 'below', 'file'), noise(50_000))
    const store = join(temporaryFolder(), 'store')
    const path = (await neve(['--store', store, 'import', folder])).lines[0]!
    const flags = ['--gc-grace', '0s', '--root', path]
    const mount = await startMount(['--store', store], {}, undefined, flags)
    const options = { all: true, olderThan: 0, patience: 30_000 }
    expect(await collectGarbage(store, options)).toMatchObject({ waitingFor: [] })
    expect((await neve(['--store', store, 'path-info', path])).code).toBe(1)
    expect(readFileSync(join(mount.place, 'below', 'file')).equals(noise(50_000))).toBe(true)
    expect(await mount.unmount()).toBe(0)
    await noLeases(store)
    await collectGarbage(store, options)
    await using opened = await openLocalStore(store, { readOnly: true })
    expect(opened.engine.count('directories')).toBe(0)
  })

  test('--no-lease lets garbage go, which is then EIO or absent, and never a hang', async () => {
    const store = await storeOf(noise(3_000_000))
    const mount = await startMount(['--store', store.path], {}, undefined, ['--no-lease'])
    const { removed, waitingFor } = await collectGarbage(store.path, { all: true, olderThan: 0, patience: 0 })
    expect(waitingFor).toEqual([])
    expect(removed).toBeGreaterThan(0)
    expect(() => readFileSync(join(mount.place, store.name))).toThrow(/ENOENT|EIO/)
    expect(await mount.unmount()).toBe(0)
  })

  test('shows a store that it may not write to', async () => {
    const store = await storeOf(Buffer.from('Hello World!'))
    const place = mountPoint()
    const leases = join(store.path, 'leases')
    // Not even root may write to what is mounted read-only.
    const through = [
      'unshare',
      '--mount',
      'sh',
      '-c',
      `mount --bind -o ro ${store.path} ${store.path} && exec "$@"`,
    ]
    const args = ['--store', store.path, '--log-level', 'debug', 'mount', '--background', place]
    const { code, stderr } = await neve(args, { through: [...through, 'sh'] })
    expect([code, stderr]).toEqual([0, expect.stringContaining(`neve: mounted on ${place}\n`)])
    expect(readdirSync(leases).filter((name) => /^\d/.test(name))).toEqual([])
    expect(isMounted(place)).toBe(false)
  })
})
