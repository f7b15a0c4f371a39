import { spawnSync } from 'node:child_process'
import { mkdirSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { setLastUse } from './last-use.js'
import { type Daemon, startDaemon } from './servers.js'
import { neve, noise, requireReal, temporaryFolder } from './support.js'

const MiB = 2 ** 20
const PATIENT = { timeout: 60_000, interval: 200 }

/** A store with files of a length, of which the first was used a day ago, the second two days ago, and so on. */
async function storeOf(count: number, length: number, store = join(temporaryFolder(), 'store')) {
  const folder = temporaryFolder()
  const files = Array.from({ length: count }, (_, i) => {
    const file = join(folder, `file-${i}`)
    writeFileSync(file, noise(length, i + 1))
    return file
  })
  const { lines: paths } = await neve(['import', '--store', store, ...files])
  for (const [i, path] of paths.entries()) await setLastUse(store, path, i + 1)
  return { store, paths }
}

async function serving(store: string, ...flags: string[]) {
  const socket = join(temporaryFolder(), 's.sock')
  const args = ['-l', socket, '--http', '127.0.0.1:0', '--store', store, ...flags]
  const daemon = await startDaemon(args, {}, 'daemon')
  return { ...daemon, at: ['--store', `grpc+unix:${socket}`] }
}

async function metric(daemon: Daemon, name: string): Promise<number> {
  const url = daemon.urls.find((one) => one.startsWith('http:'))!
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1])
}

/** The store paths that a server tells of. */
async function served({ at }: { readonly at: readonly string[] }): Promise<string[]> {
  const { lines } = await neve(['path-info', '--all', ...at])
  return lines.map((line) => line.split(/\s/)[0]!).sort()
}

test('a daemon collects by its schedule what no root and no rule keeps, and serves on', async () => {
  const { store, paths } = await storeOf(6, 100_000)
  expect((await neve(['root', 'add', '--store', store, 'last', paths[5]!])).code).toBe(0)
  const rules = ['--keep-used-within', '36h', '--gc-grace', '0s']
  const daemon = await serving(store, '--gc-every', '1s', ...rules)
  await vi.waitFor(async () => expect(await metric(daemon, 'neve_gc_removed')).toBeGreaterThan(0), PATIENT)
  expect(await served(daemon)).toEqual([paths[0], paths[5]].sort())
  await vi.waitFor(
    async () => expect(await metric(daemon, 'neve_gc_freed_bytes')).toBeGreaterThan(0),
    PATIENT,
  )
  expect(await metric(daemon, 'neve_gc_finished_timestamp_seconds')).toBeGreaterThan(1_700_000_000)
  expect(daemon.stderr()).toContain(`collected garbage in ${store}`)
  expect(await neve(['verify', '--all', '--nar', ...daemon.at])).toMatchObject({ code: 0, lines: [] })
  expect(await daemon.stop()).toBe(0)
})

test('what the clients of a daemon may lean on goes when they had their time', async () => {
  const { store, paths } = await storeOf(2, 100_000)
  const daemon = await serving(store, '--gc-every', '1s', '--keep-used-within', '36h', '--gc-grace', '4s')
  await daemon.says(`found garbage in ${store}: 1 store path`)
  expect(daemon.stderr()).toContain('clients of this server')
  expect(await metric(daemon, 'neve_gc_removed')).toBe(0)
  await vi.waitFor(async () => expect(await metric(daemon, 'neve_gc_removed')).toBeGreaterThan(0), PATIENT)
  expect(await served(daemon)).toEqual([paths[0]])
  expect(await daemon.stop()).toBe(0)
})

test('one process collects for all workers', async () => {
  const { store, paths } = await storeOf(2, 100_000)
  const rules = ['--gc-every', '1s', '--keep-used-within', '36h', '--gc-grace', '0s']
  const daemon = await serving(store, '--workers', '2', ...rules)
  await vi.waitFor(() => expect(daemon.stderr()).toMatch(/collected garbage .*: [1-9]\d* entr/), PATIENT)
  expect(await served(daemon)).toEqual([paths[0]])
  expect(await daemon.stop()).toBe(0)
})

test('garbage goes from an embedded store in a composition, too, which is then asked for elsewhere', async () => {
  const folder = temporaryFolder()
  const [store, file, config] = [join(folder, 'near'), join(folder, 'file'), join(folder, 'stores.toml')]
  const tables = ['blobservices', 'directoryservices', 'pathinfoservices'].map(
    (table) => `[${table}.default]\ntype = "cache"\nnear = "near"\nfar = "memory:"\n
[${table}.near]\ntype = "embedded"\npath = ${JSON.stringify(store)}\n`,
  )
  writeFileSync(config, `${tables.join('')}keep_used_within = "30d"\n`)
  const socket = join(folder, 's.sock')
  const flags = ['--store-config', config, '--gc-every', '1s', '--gc-grace', '0s']
  const daemon = await startDaemon(['-l', socket, ...flags], {}, 'daemon')
  const at = ['--store', `grpc+unix:${socket}`]
  writeFileSync(file, noise(100_000))
  const path = (await neve(['import', ...at, file])).lines[0]!
  expect((await neve(['path-info', '--store', store, path])).code).toBe(0)
  await setLastUse(store, path, 40)
  await vi.waitFor(() => expect(daemon.stderr()).toMatch(/collected garbage .*: [1-9]\d* entr/), PATIENT)
  expect((await neve(['path-info', '--store', store, path])).code).toBe(1)
  expect((await neve(['cat', ...at, path])).stdout.equals(noise(100_000))).toBe(true)
  expect(await daemon.stop()).toBe(0)
})

test('where space runs low, what was used last stays, and as much is free as was asked for', async (context) => {
  requireReal(context, process.getuid?.() === 0 ? undefined : 'to mount a small file system needs root')
  const place = join(temporaryFolder(), 'small')
  mkdirSync(place)
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', place], { encoding: 'utf8' })
  requireReal(context, mounted.status === 0 ? undefined : `tmpfs cannot be mounted: ${mounted.stderr}`)
  onTestFinished(() => void spawnSync('umount', ['-l', place]))
  const { store, paths } = await storeOf(20, 2 * MiB, join(place, 'store'))
  expect((await neve(['root', 'add', '--store', store, 'oldest', paths[19]!])).code).toBe(0)
  const free = () => {
    const { bavail, bsize } = statfsSync(place)
    return bavail * bsize
  }
  expect(free()).toBeLessThan(30 * MiB)
  const daemon = await serving(store, '--min-free', '30M', '--max-free', '40M', '--gc-grace', '0s')
  await vi.waitFor(() => expect(free()).toBeGreaterThanOrEqual(40 * MiB), PATIENT)
  expect(daemon.stderr()).toMatch(/space runs low: .* free/)
  const left = await served(daemon)
  expect(left).toContain(paths[19])
  expect(left.length).toBeLessThan(14)
  expect(left).toEqual([...paths.slice(0, left.length - 1), paths[19]].sort())
  expect(await neve(['verify', '--all', '--nar', ...daemon.at])).toMatchObject({ code: 0, lines: [] })
  expect(await daemon.stop()).toBe(0)
})

test('where nothing is left to collect it says so, and rests', async () => {
  const { store, paths } = await storeOf(2, 100_000)
  for (const path of paths) await neve(['root', 'add', '--store', store, path, path])
  const daemon = await serving(store, '--min-free', '900T', '--gc-grace', '0s')
  await daemon.says(`nothing is left to collect in ${store}`)
  expect(await served(daemon)).toEqual([...paths].sort())
  expect(await daemon.stop()).toBe(0)
})

test.each([
  [['--max-free', '10G'], '--max-free is for --min-free'],
  [['--max-size', '10G'], '--keep-used-within and --max-size are for --gc-every'],
  [['--min-free', '10G', '--max-free', '1G'], '--max-free must not be less'],
  [['--gc-every', '0'], 'must not be 0'],
  [['--gc-every', 'often'], '--gc-every "often"'],
  [['--gc-every', '1d', '--read-only'], 'not with --read-only'],
  [['--gc-every', '1d', '--store', 'memory:'], 'for embedded stores'],
])('%j is refused with a hint', async (flags, hint) => {
  const store = flags.includes('--store') ? [] : ['--store', join(temporaryFolder(), 'store')]
  const { code, stderr } = await neve(['daemon', '-l', '127.0.0.1:0', ...store, ...flags])
  expect([code, stderr]).toEqual([2, expect.stringContaining(hint)])
})
