import { execFileSync, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type B3Digest,
  Directory,
  type DirectoryEntry,
  PathComponent,
  SymlinkTarget,
} from '@neve/castore-model'
import { EmbeddedBlobService } from '@neve/castore-services/blob/embedded'
import { EmbeddedDirectoryService } from '@neve/castore-services/directory/embedded'
import { EmbeddedStore } from '@neve/embedded-store'
import { type FilesystemTrouble, type FuseMount, mountEmbedded } from '@neve/fs-fuse'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { fileNode } from './fixtures.js'

const isRoot = process.getuid?.() === 0
const mayMount = spawnSync('test', ['-w', '/dev/fuse']).status === 0 && isRoot
if (!mayMount && process.env['NEVE_TEST_REQUIRE'] === 'all') throw new Error('/dev/fuse cannot be used')

const hasFincore = spawnSync('fincore', ['--version']).status === 0
if (!hasFincore && process.env['NEVE_TEST_REQUIRE'] === 'all') throw new Error('fincore is missing')

interface Mounted {
  readonly place: string
  readonly store: string
  readonly engine: EmbeddedStore
  readonly mount: FuseMount
  readonly troubles: FilesystemTrouble[]
}

/** Files of an embedded store, mounted by a thread of this process. `spoil` is called before. */
async function mounted(
  files: Readonly<Record<string, Uint8Array>>,
  spoil: (store: string) => void = () => {},
): Promise<Mounted> {
  const folder = mkdtempSync(join(tmpdir(), 'embedded-mount-'))
  const place = join(folder, 'mount')
  const store = join(folder, 'store')
  mkdirSync(place)
  const engine = await EmbeddedStore.open(store)
  onTestFinished(async () => {
    spawnSync('umount', ['-l', place])
    await engine.close()
    rmSync(folder, { recursive: true })
  })
  const digest = await stored(engine, files)
  spoil(store)
  const troubles: FilesystemTrouble[] = []
  const mount = await mountEmbedded(store, { directory: digest.toSri() }, place, {
    listRoot: true,
    onTrouble: (trouble) => troubles.push(trouble),
    onFault: (error) => troubles.push({ operation: 'fault', path: '', error }),
  })
  return { place, store, engine, mount, troubles }
}

async function stored(engine: EmbeddedStore, files: Readonly<Record<string, Uint8Array>>): Promise<B3Digest> {
  const blobs = new EmbeddedBlobService(engine)
  const directories = new EmbeddedDirectoryService(engine)
  const entries: DirectoryEntry[] = []
  for (const [name, content] of Object.entries(files)) {
    await using writer = blobs.openWrite()
    await writer.write(content)
    await writer.close()
    entries.push({ name: PathComponent.from(name), node: fileNode(content) })
  }
  const inner = Directory.fromEntries(entries)
  const missing = Directory.fromEntries([[PathComponent.from('nowhere'), fileNode(randomBytes(10))]])
  await directories.put(inner)
  const outer = Directory.fromEntries([
    [PathComponent.from('files'), inner.toNode()],
    [PathComponent.from('again'), inner.toNode()],
    [PathComponent.from('missing'), missing.toNode()],
    [PathComponent.from('absent'), fileNode(randomBytes(100))],
    [PathComponent.from('link'), { kind: 'symlink', target: SymlinkTarget.from('files') }],
  ])
  await directories.put(outer)
  return outer.digest()
}

/** Changes one byte of stored content. */
function damage(store: string, content: Uint8Array, at: number): void {
  for (const segment of readdirSync(join(store, 'segments'))) {
    const path = join(store, 'segments', segment)
    const bytes = readFileSync(path)
    const found = bytes.indexOf(content.subarray(at, at + 64))
    if (found < 0) continue
    bytes[found]! ^= 1
    writeFileSync(path, bytes)
    return
  }
  throw new Error('the content is in no segment')
}

function codeOf(work: () => unknown): unknown {
  try {
    work()
  } catch (error) {
    return (error as { readonly code?: unknown }).code
  }
  return 'no error'
}

describe.skipIf(!mayMount)('05: an embedded store that is mounted (needs root and /dev/fuse)', () => {
  it('shows every byte, in order and out of it', async () => {
    const files = {
      empty: new Uint8Array(0),
      small: Buffer.from('small'),
      text: Buffer.from('the same line again and again\n'.repeat(100_000)),
      random: randomBytes(5_000_001),
    }
    const { place, mount } = await mounted(files)
    const compare = (folder: string) => {
      for (const [name, content] of Object.entries(files)) {
        expect(readFileSync(join(place, folder, name)).equals(content), name).toBe(true)
      }
    }
    const descriptor = openSync(join(place, 'again/random'), 'r')
    const piece = Buffer.alloc(4096)
    // Far from each other, so that the kernel reads nothing ahead: the rest of each chunk is put into its cache.
    for (let count = 0, at = 4_999_000; count < 2000; count++, at = (at + 3_141_593) % 5_000_001) {
      const length = readSync(descriptor, piece, 0, piece.length, at)
      expect(length).toBe(Math.min(piece.length, 5_000_001 - at))
      expect(piece.subarray(0, length).equals(files.random.subarray(at, at + length)), `at ${at}`).toBe(true)
    }
    closeSync(descriptor)
    compare('again')
    compare('files')
    compare('link')
    await mount.unmount()
    await mount.wait()
    expect(readdirSync(place)).toEqual([])
  })

  it.skipIf(!hasFincore)('gives the kernel the whole chunk of which a little is read, at once', async () => {
    const content = randomBytes(4_000_000)
    const { place, mount } = await mounted({ content })
    const path = join(place, 'files/content')
    const descriptor = openSync(path, 'r')
    const piece = Buffer.alloc(4096)
    // Nothing was read before: threads are starting, and a chunk that was read without them counts as well.
    readSync(descriptor, piece, 0, piece.length, 2_000_000)
    expect(piece.equals(content.subarray(2_000_000, 2_004_096))).toBe(true)
    const pages = () =>
      Number(execFileSync('fincore', ['--noheadings', '--output', 'PAGES', path], { encoding: 'utf8' }))
    await vi.waitFor(() => expect(pages()).toBeGreaterThan(10), { timeout: 30_000 })
    expect(readFileSync(path).equals(content)).toBe(true)
    closeSync(descriptor)
    await mount.unmount()
  })

  it('answers EIO for what is missing, and tells of it once, with path and digest', async () => {
    const { place, mount, troubles } = await mounted({ good: Buffer.from('good') })
    for (let time = 0; time < 3; time++) {
      expect(codeOf(() => readFileSync(join(place, 'absent')))).toBe('EIO')
      expect(codeOf(() => readdirSync(join(place, 'missing')))).toBe('EIO')
      expect(codeOf(() => readFileSync(join(place, 'missing/nowhere')))).toBe('EIO')
    }
    expect(readFileSync(join(place, 'files/good'), 'utf8')).toBe('good')
    await mount.unmount()
    const told = troubles.map(({ operation, path, error }) => [operation, path, String(error)])
    expect(told.map(([operation, path]) => `${operation} ${path}`).sort()).toEqual([
      'lookup /missing',
      'open /absent',
      'readdir /missing',
    ])
    for (const [, , error] of told) expect(error).toMatch(/b3:[A-Za-z0-9+/]{43}= is missing/)
  })

  it('gives what lies before damage, then EIO; what is written again is good again', async () => {
    const content = randomBytes(4_000_000)
    const { place, engine, mount, troubles } = await mounted({ content }, (store) =>
      damage(store, content, 3_000_000),
    )
    const descriptor = openSync(join(place, 'files/content'), 'r')
    const got = Buffer.alloc(content.length)
    let length = 0
    const code = codeOf(() => {
      for (;;) {
        const count = readSync(descriptor, got, length, 4096, length)
        if (count === 0) return
        length += count
      }
    })
    expect(code).toBe('EIO')
    expect(length).toBeGreaterThan(1_000_000)
    expect(length).toBeLessThanOrEqual(3_000_000)
    expect(got.subarray(0, length).equals(content.subarray(0, length))).toBe(true)
    await using writer = new EmbeddedBlobService(engine).openWrite()
    await writer.write(content)
    await writer.close()
    expect(readFileSync(join(place, 'files/content')).equals(content)).toBe(true)
    closeSync(descriptor)
    await mount.unmount()
    expect(troubles.length).toBeGreaterThan(0)
    expect(troubles.every(({ operation, path }) => operation === 'read' && path === '/files/content')).toBe(
      true,
    )
  })

  it('runs programs', async () => {
    const program = readFileSync('/bin/true')
    const { place, mount } = await mounted({ program })
    // Files here are not executable, so the loader runs it, and maps it into memory.
    const loader = execFileSync('sh', ['-c', 'ls /lib64/ld-linux-* /lib/ld-linux-* 2>/dev/null | head -n 1'])
    execFileSync(loader.toString().trim(), [join(place, 'files/program')])
    await mount.unmount()
  })

  it('refuses what cannot be mounted on, and leaves nothing behind', async () => {
    const { place, store, mount } = await mounted({})
    await mount.unmount()
    const root = { directory: (await stored(await opened(store), {})).toSri() }
    await expect(mountEmbedded(store, root, join(place, 'nowhere'))).rejects.toMatchObject({ code: 'mount' })
    await expect(mountEmbedded(store, root, join(store, 'FORMAT'))).rejects.toThrow('it is not a directory')
    const absent = fileNode(randomBytes(3)).digest.toSri()
    await expect(mountEmbedded(store, { directory: absent }, place)).rejects.toThrow('is missing')
    expect(execFileSync('cat', ['/proc/self/mountinfo'], { encoding: 'utf8' })).not.toContain(place)
  })
})

async function opened(store: string): Promise<EmbeddedStore> {
  const engine = await EmbeddedStore.open(store)
  onTestFinished(() => engine.close())
  return engine
}
