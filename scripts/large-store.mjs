// Makes a store of a size, and goes through docs/operations.md on it, while a mount and an HTTP client read from it and an
// import writes to it:
//
//     node scripts/large-store.mjs --size 10G --dir /somewhere/with/30G/free
//
// Ends with an error where anything is not as it should be. Everything is made in a folder of its own, which goes at the end.
import { spawn, spawnSync } from 'node:child_process'
import { createHash, randomFillSync } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { freePort } from './free-port.mjs'

const NEVE = fileURLToPath(new URL('../packages/cli/dist/neve.js', import.meta.url))
const MIB = 2 ** 20
const UNITS = /** @type {Record<string, number>} */ ({ M: MIB, G: 1024 * MIB })

const { values } = parseArgs({
  options: { size: { type: 'string', default: '10G' }, dir: { type: 'string', default: tmpdir() } },
})
const [, digits, unit = ''] = /^(\d+)([MG])$/.exec(values.size) ?? []
if (digits === undefined) throw new Error(`--size: expected a number and M or G, got ${values.size}`)
const SIZE = Number(digits) * (UNITS[unit] ?? 1)
/** Of one store path, in bytes. */
const PATH_SIZE = Math.min(64 * MIB, Math.max(8 * MIB, Math.round(SIZE / 32)))
/** So many trees are imported by one command. */
const AT_ONCE = 8

const folder = mkdtempSync(join(values.dir, 'neve-large-store-'))
const store = join(folder, 'store')
/**
 * Files of store paths that a root keeps: their digests, by the path in the store.
 *
 * @type {Map<string, string>}
 */
const kept = new Map()
/** @type {(() => unknown)[]} */
const stops = []
const counts = { 'files read from the mount': 0, 'NARs fetched': 0, 'store paths imported meanwhile': 0 }

/** @param {readonly string[]} args @param {import('node:child_process').SpawnOptions} options */
function start(args, options = {}) {
  return spawn(process.execPath, [NEVE, ...args], {
    env: { ...process.env, NEVE_STORE: store },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  })
}

/**
 * Runs a command, and tells how long it took.
 *
 * @param {readonly string[]} args
 * @param {{ code?: number, stopAfter?: number, quiet?: boolean }} options
 * @returns what it printed
 */
async function neve(args, { code = 0, stopAfter, quiet = false } = {}) {
  const began = performance.now()
  const child = start(args)
  /** @type {Buffer[]} */
  const out = []
  /** @type {Buffer[]} */
  const err = []
  child.stdout?.on('data', (piece) => out.push(piece))
  child.stderr?.on('data', (piece) => err.push(piece))
  const timer = stopAfter === undefined ? undefined : setTimeout(() => child.kill('SIGINT'), stopAfter)
  const ended = await new Promise((resolve) => child.on('close', (status) => resolve(status)))
  clearTimeout(timer)
  const said = Buffer.concat(err).toString().trim()
  // Who is quick enough is not interrupted.
  const fine = ended === code || (stopAfter !== undefined && ended === 0)
  if (!fine) throw new Error(`neve ${args.join(' ')}: ended with ${ended} in place of ${code}: ${said}`)
  const shown = args.map((word) => word.replace(folder, '…')).join(' ')
  if (!quiet) console.log(`${((performance.now() - began) / 1000).toFixed(1).padStart(7)} s  neve ${shown}`)
  return Buffer.concat(out).toString()
}

/** @param {boolean | undefined} condition @param {string} what */
function expect(condition, what) {
  if (!condition) throw new Error(`expected ${what}`)
}

/**
 * Half of it one file, the rest small ones, a fifth of which are in every tree.
 *
 * @param {string} path
 * @param {number} size
 */
function writeTree(path, size) {
  /** @type {Map<string, string>} */
  const digests = new Map()
  /** @param {string} name @param {number} length @param {string} [seed] */
  const write = (name, length, seed) => {
    const bytes =
      seed === undefined
        ? randomFillSync(Buffer.allocUnsafe(length))
        : createHash('shake256', { outputLength: length }).update(seed).digest()
    writeFileSync(join(path, name), bytes)
    digests.set(name, createHash('sha256').update(bytes).digest('hex'))
  }
  mkdirSync(path, { recursive: true })
  write('large', Math.round(size / 2))
  const small = Math.round(size / 2 / 40_000)
  for (let i = 0; i < small; i++) {
    if (i % 50 === 0) mkdirSync(join(path, `folder-${i / 50}`))
    write(`folder-${Math.floor(i / 50)}/${i}`, 20_000 + (i % 40) * 1000, i % 5 === 0 ? `${i}` : undefined)
  }
  return digests
}

/**
 * Imports new trees.
 *
 * @param {readonly string[]} names
 * @param {number} size
 * @param {(index: number) => boolean} isKept whether it gets a root
 * @returns the store paths
 */
async function importTrees(names, size, isKept) {
  const trees = names.map((name) => join(folder, name))
  const digests = trees.map((tree) => writeTree(tree, size))
  // A collection beside it takes what has no root the moment that the import has ended.
  const root = trees.length === 1 && isKept(0) ? ['--add-root', names[0] ?? ''] : []
  const paths = (await neve(['import', ...root, ...trees], { quiet: true })).trim().split('\n')
  for (const tree of trees) rmSync(tree, { recursive: true })
  for (const [i, path] of paths.entries()) {
    if (!isKept(i)) continue
    if (root.length === 0) await neve(['root', 'add', names[i] ?? '', path], { quiet: true })
    for (const [file, digest] of digests[i] ?? []) kept.set(`${basename(path)}/${file}`, digest)
  }
  return paths
}

/**
 * Does something again and again, until all ends. Where it fails, so does everything.
 *
 * @param {() => Promise<void>} doing
 */
function beside(doing) {
  const done = (async () => {
    while (!stopped) await doing()
  })().catch((error) => {
    failure ??= error
    stopped = true
  })
  stops.push(() => done)
}
let stopped = false
/** @type {unknown} */
let failure

/** @template T @param {readonly T[]} list */
const pick = (list) => /** @type {T} */ (list[Math.floor(Math.random() * list.length)])

/** @param {readonly string[]} args @param {() => Promise<boolean>} whenReady */
async function serve(args, whenReady) {
  const child = start(args, { stdio: ['ignore', 'inherit', 'inherit'] })
  const gone = new Promise((resolve) => child.on('close', resolve))
  stops.push(() => {
    child.kill('SIGTERM')
    return gone
  })
  for (const until = performance.now() + 30_000; !(await whenReady().catch(() => false)); await sleep(50)) {
    expect(performance.now() < until && child.exitCode === null, `neve ${args.join(' ')} to be ready`)
  }
}

async function serveAndUse() {
  const mountpoint = join(folder, 'mnt')
  mkdirSync(mountpoint)
  const [first = ''] = kept.keys()
  await serve(['mount', '--no-lease', mountpoint], () => readFile(join(mountpoint, first)).then(() => true))
  stops.push(() => spawnSync('umount', ['-l', mountpoint]))
  beside(async () => {
    const [path, digest] = pick([...kept])
    const bytes = await readFile(join(mountpoint, path))
    expect(
      createHash('sha256').update(bytes).digest('hex') === digest,
      `${path} in the mount as it was imported`,
    )
    counts['files read from the mount']++
  })
  const base = `http://127.0.0.1:${await freePort()}`
  await serve(
    ['nar-bridge', '--listen-address', base.slice(7), '--gc-grace', '1s'],
    async () => (await fetch(`${base}/nix-cache-info`)).ok,
  )
  /** @type {Map<string, string>} */
  const fetched = new Map()
  beside(async () => {
    const [path] = pick([...kept])
    const hash = path.slice(0, 32)
    const info = await (await fetch(`${base}/${hash}.narinfo`)).text()
    const url = /^URL: (.*)$/m.exec(info)?.[1]
    expect(url !== undefined, `a narinfo for ${path}, not ${info}`)
    const nar = Buffer.from(await (await fetch(`${base}/${url}`)).arrayBuffer())
    const digest = createHash('sha256').update(nar).digest('hex')
    expect(
      (fetched.get(hash) ?? digest) === digest && nar.length > 1000,
      `the NAR of ${path} to stay the same`,
    )
    fetched.set(hash, digest)
    counts['NARs fetched']++
  })
  beside(async () => {
    const number = counts['store paths imported meanwhile']++
    await importTrees([`meanwhile-${number}`], PATH_SIZE / 8, () => number % 2 === 0)
    await sleep(500)
  })
}

/** @param {readonly string[]} paths */
async function operate(paths) {
  const [one = '', two = ''] = paths
  await neve(['store', 'info'])
  const info = JSON.parse(await neve(['store', 'info', '--top', '3', '--json']))
  expect(JSON.stringify(info).includes('-path-'), 'the largest store paths to be told')
  expect((await neve(['store', 'du', one])).includes(basename(one)), 'du to name the store path')
  expect((await neve(['store', 'why', one])).includes('path-0'), 'why to name the root')
  expect((await neve(['store', 'diff', one, two])).includes('large'), 'diff to name the file that differs')
  await neve(['verify', '--all'])
  const state = join(folder, 'verify.state')
  const slowly = ['verify', '--all', '--nar', '--bandwidth', '100M', '--resume', state]
  await neve(slowly, { code: 130, stopAfter: 5000 })
  await neve(['verify', '--all', '--nar', '--resume', state])
  const garbage = (await neve(['gc', '--dry-run', '--older-than', '0s']))
    .split('\n')
    .filter((line) => line !== '')
  expect(
    garbage.length >= paths.length / 2,
    `${paths.length / 2} store paths to be garbage, not ${garbage.length}`,
  )
  const { freedBytes } = JSON.parse(await neve(['gc', '--older-than', '0s', '--wait', '10m', '--json']))
  expect(freedBytes > SIZE / 4, `a quarter of the store to be given back, not ${freedBytes} bytes`)
  console.log(`           ${(freedBytes / MIB).toFixed(0)} MiB given back`)
  const snapshot = join(folder, 'snapshot')
  await neve(['store', 'snapshot', snapshot])
  await neve(['verify', '--store', snapshot, '--all'])
  await neve(['store', 'migrate', snapshot, join(folder, 'migrated')])
  await neve(['verify', '--store', join(folder, 'migrated'), '--all'])
  await neve(['verify', '--all', '--nar'])
}

try {
  /** @type {string[]} */
  const paths = []
  const began = performance.now()
  for (let number = 0; number * PATH_SIZE < SIZE; number += AT_ONCE) {
    const names = Array.from({ length: AT_ONCE }, (_, i) => `path-${number + i}`)
    paths.push(...(await importTrees(names, PATH_SIZE, (i) => i % 4 === 0)))
  }
  console.log(
    `${((performance.now() - began) / 1000).toFixed(1).padStart(7)} s  ${values.size} in ${paths.length} store paths imported`,
  )
  await serveAndUse()
  const operated = operate(paths)
  await Promise.race([operated, failed()])
} finally {
  stopped = true
  for (const stop of stops.reverse()) await stop()
  rmSync(folder, { recursive: true, force: true })
}
if (failure !== undefined) throw failure
for (const [what, count] of Object.entries(counts)) {
  expect(count > 0, `${what}: more than none`)
  console.log(`${String(count).padStart(9)}  ${what}`)
}

async function failed() {
  while (failure === undefined && !stopped) await sleep(100, undefined, { ref: false })
  if (failure !== undefined) throw failure
  await new Promise(() => undefined)
}
