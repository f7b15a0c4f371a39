// Lets the built command do its usual work once, so that V8 keeps what it compiled for it: see src/bundle/code-cache.ts.
import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const DIST = fileURLToPath(new URL('../dist/', import.meta.url))
const FOLDERS = 16
const FILES = 100
/** Two threads run one module for different work: what they have compiled comes together over a few rounds. */
const ROUNDS = 2

const env = { ...process.env, NEVE_CODE_CACHE: 'write', NODE_OPTIONS: '' }

for (const name of readdirSync(join(DIST, 'bundle'))) {
  if (name.endsWith('.cache')) rmSync(join(DIST, 'bundle', name))
}
const work = mkdtempSync(join(tmpdir(), 'neve-code-cache-'))
try {
  const tree = join(work, 'tree')
  writeTree(tree)
  for (let round = 0; round < ROUNDS; round++) {
    const store = join(work, `store-${round}`)
    const path = neve(store, 'import', tree).trim()
    neve(store, 'import', tree)
    neve(store, 'nar', path)
    neve(store, 'nar', path, '-o', join(work, `${round}.nar`))
    neve(store, 'ls', '-l', path)
    neve(store, 'cat', `${path}/large`)
    neve(store, 'stat', path)
    neve(store, 'verify', '--all')
    neve(store, 'export', path, join(work, `export-${round}`))
    neve(store, 'mount', join(work, 'nowhere'))
    await mount(store, path)
  }
  // For every other command.
  copyFileSync(join(DIST, 'bundle/main.ls.cache'), join(DIST, 'bundle/main.cache'))
} finally {
  rmSync(work, { recursive: true, force: true })
}

/** @param {string[]} args */
function neve(store, ...args) {
  const options = { env, maxBuffer: 1 << 30, encoding: /** @type {const} */ ('latin1') }
  const { status, stdout, stderr, error } = spawnSync(process.execPath, commandLine(store, args), options)
  if (error !== undefined) throw error
  if (status !== 0 && args[0] !== 'mount') throw new Error(`neve ${args[0]} failed: ${stderr}`)
  return stdout
}

/** Mounts the store and reads from it. That needs rights that a build may not have: then threads have less in store. */
async function mount(store, path) {
  const mountpoint = join(work, 'mountpoint')
  mkdirSync(mountpoint, { recursive: true })
  const child = spawn(process.execPath, commandLine(store, ['mount', mountpoint]), {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const ended = once(child, 'close')
  const [text] = await Promise.race([once(child.stderr, 'data'), ended])
  try {
    if (String(text).includes('mounted on')) {
      cpSync(join(mountpoint, path.slice('/nix/store/'.length)), `${store}-copy`, { recursive: true })
    }
  } finally {
    child.kill('SIGTERM')
    await ended
  }
}

/** @param {string[]} args */
function commandLine(store, args) {
  return [join(DIST, 'neve.js'), '--store', store, ...args]
}

/** Small files of both kinds, links, programs, and a file in chunks. */
function writeTree(tree) {
  for (let folder = 0; folder < FOLDERS; folder++) {
    const path = join(tree, `folder-${folder}`)
    mkdirSync(path, { recursive: true })
    for (let file = 0; file < FILES; file++) {
      const text = `${folder} and ${file}, `.repeat(1 + ((file * 7) % 300))
      writeFileSync(join(path, `file-${file}`), file % 3 === 0 ? randomBytes(file * 40) : text)
    }
    chmodSync(join(path, 'file-1'), 0o755)
    symlinkSync('file-1', join(path, 'link'))
  }
  writeFileSync(join(tree, 'large'), Buffer.concat([randomBytes(3 << 20), Buffer.alloc(2 << 20, 'text ')]))
}
