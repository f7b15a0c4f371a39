import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { collectGarbage } from '@neve/store-pathinfo/gc'
import { beforeEach, describe, expect, test } from 'vitest'
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

  test('keeps what it shows from the garbage collector, for as long as it lasts', async () => {
    const content = noise(3_000_000)
    const store = await storeOf(content)
    const mount = await startMount(['--store', store.path])
    const options = { all: true, olderThan: 0, patience: 0 }
    const first = await collectGarbage(store.path, options)
    expect(first.paths.map(String)).toEqual([store.name])
    expect(first.waitingFor.map(({ pid }) => pid)).toEqual([mount.child.pid])
    expect(first.removed).toBe(0)
    const read = await look('sha256sum', [join(mount.place, store.name)])
    expect(await mount.unmount()).toBe(0)
    await noLeases(store.path)
    const file = join(temporaryFolder(), 'file')
    writeFileSync(file, content)
    expect(read.split(' ')[0]).toBe((await look('sha256sum', [file])).split(' ')[0])
    const second = await collectGarbage(store.path, options)
    expect(second.removed).toBeGreaterThan(0)
    expect((await neve(['--store', store.path, 'ls', `/nix/store/${store.name}`])).code).toBe(1)
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
