import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Directory, Node } from '@neve/castore-model'
import type { LocalStore, StoreParts } from '@neve/store-pathinfo'
import { beforeAll, describe, expect, it } from 'vitest'
import type { ArchiveEntry, FilledEntry } from '../src/archive/archive-entry.js'
import { gathered } from '../src/archive/gathered.js'
import { tarArchive, tarLength } from '../src/archive/tar.js'
import { zipArchive, zipLength } from '../src/archive/zip.js'
import { BYTES, importSite, NASTY } from './page-fixtures.js'
import { collect, served, temporaryFolder, temporaryStore } from './support.js'

let store: LocalStore
let site: string
let at: string
beforeAll(async () => {
  store = await temporaryStore()
  site = await importSite(store)
  at = (await served(store)).url
})

const missing = (program: string) => spawnSync(program, ['--version'], { stdio: 'ignore' }).status !== 0
const optional = (program: string) => process.env['NEVE_TEST_REQUIRE'] !== 'all' && missing(program)

async function download(form: string, below = ''): Promise<Buffer> {
  const response = await fetch(`${at}/nix/store/${site}${below}?download=${form}`)
  expect(response.status).toBe(200)
  const bytes = Buffer.from(await response.arrayBuffer())
  expect(response.headers.get('content-length')).toBe(`${bytes.length}`)
  return bytes
}

/** Unpacks an archive from a pipe; gives the folder. */
async function unpacked(bytes: Uint8Array, program: string, ...args: string[]): Promise<string> {
  const folder = temporaryFolder()
  const child = spawn(program, [...args, '-C', folder], { stdio: ['pipe', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.on('data', (piece) => {
    stderr += piece
  })
  const ended = once(child, 'exit')
  await pipeline(Readable.from([bytes]), child.stdin)
  expect([(await ended)[0], stderr]).toEqual([0, ''])
  return folder
}

async function nodeOf(path: string) {
  return (await store.importPath(path, { name: 'x' })).node
}

async function siteNode() {
  const { node } = await store.resolve(site)
  return node
}

describe('tar', () => {
  it.skipIf(optional('tar'))('GNU tar unpacks it to the same tree', async () => {
    const folder = await unpacked(await download('tar'), 'tar', '--warning=no-timestamp', '-xf', '-')
    expect(await nodeOf(join(folder, 'site'))).toEqual(await siteNode())
  })

  it.skipIf(optional('bsdtar'))('bsdtar does', async () => {
    const folder = await unpacked(await download('tar', '/deep'), 'bsdtar', '-xf', '-')
    const { node } = await store.resolve(`${site}/deep`)
    expect(await nodeOf(join(folder, 'deep'))).toEqual(node)
  })

  it('names, targets and sizes that no header holds', async () => {
    const file = (path: Buffer, size: bigint): ArchiveEntry => ({
      ...{ path, size, kind: 'file', executable: false, target: undefined },
    })
    const long = Buffer.from(`top/${'n'.repeat(246)}`)
    const link: ArchiveEntry = {
      ...{
        path: Buffer.from('top/link'),
        size: 0n,
        kind: 'symlink',
        executable: false,
        target: Buffer.alloc(4095, 't'),
      },
    }
    const entries = [file(long, 0n), link, file(Buffer.from('top/huge'), 9n * 2n ** 30n)]
    // 250 bytes and a NUL take one block, 4,096 bytes take eight; each text and each entry has a header.
    expect(await tarLength(each(entries))).toBe(BigInt((2 + 1 + 2 + 8 + 1 + 2) * 512) + 9n * 2n ** 30n)
    const top: ArchiveEntry = { ...file(Buffer.from('top'), 0n), kind: 'directory' }
    const filled = [top, ...entries.slice(0, 2)].map((entry) => ({ ...entry, content: undefined }))
    const archive = await collect(tarArchive(each(filled)))
    const imported = await store.importArchive(each([archive]), { name: 'long' })
    const directory = await directoryOf(imported.node)
    expect(directory.entries.map(({ name }) => name.bytes.length)).toEqual([4, 246])
  })
})

describe('a tree of more than one piece of a NAR', () => {
  it.skipIf(optional('tar') || optional('bsdtar'))('comes out of both as it went in', async () => {
    const root = join(temporaryFolder(), 'many')
    for (let i = 0; i < 40; i++) {
      const folder = join(root, `folder-${i}`)
      mkdirSync(folder, { recursive: true })
      for (let j = 0; j < 100; j++)
        writeFileSync(join(folder, `file-${j}`), Buffer.alloc(1 + i * 97 + j * 31, `${i} ${j} `))
    }
    writeFileSync(join(root, 'large'), Buffer.alloc(5_000_000, 'large '))
    const { storePath, node } = await store.importPath(root)
    const { url } = await served(store)
    for (const [form, program] of [
      ['tar', 'tar'],
      ['zip', 'bsdtar'],
    ] as const) {
      const path = join(temporaryFolder(), 'archive')
      const response = await fetch(`${url}/nix/store/${storePath}?download=${form}`)
      writeFileSync(path, Buffer.from(await response.arrayBuffer()))
      const folder = await unpacked(Buffer.alloc(0), program, '-xf', path)
      expect(await nodeOf(join(folder, 'many'))).toEqual(node)
    }
  })
})

describe('zip', () => {
  it.skipIf(optional('bsdtar'))(
    'bsdtar unpacks it to the same tree, and from a pipe as far as that is told',
    async () => {
      const zip = await download('zip')
      const path = join(temporaryFolder(), 'site.zip')
      writeFileSync(path, zip)
      const folder = await unpacked(Buffer.alloc(0), 'bsdtar', '-xf', path)
      expect(await nodeOf(join(folder, 'site'))).toEqual(await siteNode())
      // Modes and links are told at the end, which a pipe comes to too late.
      const piped = await unpacked(zip, 'bsdtar', '-xf', '-')
      const contents = ['README.md', 'bin/hello', 'deep/a/b/leaf'].map((name) =>
        readFileSync(join(piped, 'site', name)),
      )
      expect(contents).toEqual(
        ['README.md', 'bin/hello', 'deep/a/b/leaf'].map((name) => readFileSync(join(folder, 'site', name))),
      )
    },
  )

  const python = (path: string, code: string) => {
    const script = `import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\n${code}`
    const { status, stdout, stderr } = spawnSync('python3', ['-c', script, path], { maxBuffer: 2 ** 26 })
    expect([status, stderr.toString()]).toEqual([0, ''])
    return stdout.toString().trim()
  }

  it.skipIf(optional('python3'))('Python reads the names, modes and checksums', async () => {
    const path = join(temporaryFolder(), 'site.zip')
    writeFileSync(path, await download('zip'))
    expect(python(path, 'print(z.testzip())')).toBe('None')
    const modes = python(
      path,
      'print(oct(z.getinfo("site/bin/hello").external_attr >> 16), oct(z.getinfo("site/bin/hi").external_attr >> 16))',
    )
    expect(modes).toBe('0o100755 0o120777')
    expect(python(path, `print(ascii(sorted(z.namelist())[2]))`)).toBe(
      `'site/${NASTY.replace('\u001b', '\\x1b')}'`,
    )
    expect(python(path, 'print(z.read("site/bin/hi").decode(), z.read("site/deep/a/b/leaf").decode())')).toBe(
      'hello leaf',
    )
  })

  it('is the same every time, however the contents come', async () => {
    expect((await download('zip')).equals(await download('zip'))).toBe(true)
    const size = 200_000
    const content = Buffer.alloc(size, 'abc')
    const render = (piece: number) => {
      const pieces = Array.from({ length: Math.ceil(size / piece) }, (_, i) =>
        content.subarray(i * piece, (i + 1) * piece),
      )
      const entry: FilledEntry = { ...plain('file', BigInt(size)), content: each(pieces) }
      return collect(gathered(zipArchive(each([entry]), () => each([entry]))))
    }
    const whole = await render(size)
    for (const piece of [1000, 65_535, 65_536, 70_001]) expect(whole.equals(await render(piece))).toBe(true)
    expect(BigInt(whole.length)).toBe(await zipLength(each([plain('file', BigInt(size))])))
  })

  it.skipIf(optional('python3'))('holds more entries, and larger files, than its first form', async () => {
    const path = join(temporaryFolder(), 'large.zip')
    const size = 2n ** 32n + 10n
    const zeros = new Uint8Array(1024 * 1024)
    const entries = () => [
      plain('first', size),
      ...Array.from({ length: 66_000 }, (_, i) => plain(`empty-${i}`, 0n)),
      plain('last', 3n),
    ]
    const filled = entries().map((entry): FilledEntry => ({ ...entry, content: contentOf(entry) }))
    async function* contentOf({ size }: ArchiveEntry) {
      for (let left = size; left > 0n; left -= BigInt(zeros.length)) {
        yield left < BigInt(zeros.length) ? zeros.subarray(0, Number(left)) : zeros
      }
    }
    // Zeros are holes of the file.
    const descriptor = openSync(path, 'w')
    let position = 0
    for await (const piece of zipArchive(each(filled), () => each(entries()))) {
      if (piece.buffer !== zeros.buffer) writeSync(descriptor, piece, 0, piece.length, position)
      position += piece.length
    }
    ftruncateSync(descriptor, position)
    closeSync(descriptor)
    expect(BigInt(position)).toBe(await zipLength(each(entries())))
    const read = 'print(len(z.infolist()), z.getinfo("first").file_size, z.read("last"))'
    expect(python(path, read)).toBe(`66002 ${size} b'\\x00\\x00\\x00'`)
  })

  it('a path that it cannot hold is refused before anything is sent', async () => {
    const entry = { ...plain('x', 0n), path: Buffer.alloc(70_000, 'x') }
    await expect(zipLength(each([entry]))).rejects.toMatchObject({ code: 'name-too-long', length: 70_000 })
  })
})

describe('an archive of something damaged', () => {
  it('ends in a reset, never in what looks whole', async () => {
    const folder = join(temporaryFolder(), 'tree')
    mkdirSync(folder)
    writeFileSync(join(folder, 'a'), Buffer.alloc(3_000_000, 'a'))
    writeFileSync(join(folder, 'b'), BYTES)
    const { storePath, node } = await store.importPath(folder)
    const directory = await directoryOf(node)
    const gone = directory.entries[1]!.node as { digest: { equals(other: unknown): boolean } }
    const { Store } = await import('@neve/store-pathinfo')
    const blobs: StoreParts['blobs'] = {
      has: (digest) => store.blobs.has(digest),
      open: async (digest, options) =>
        gone.digest.equals(digest) ? undefined : store.blobs.open(digest, options),
      get: async (digest, options) =>
        gone.digest.equals(digest) ? undefined : store.blobs.get(digest, options),
      chunks: async (digest) => (gone.digest.equals(digest) ? undefined : store.blobs.chunks(digest)),
      put: (content) => store.blobs.put(content),
      openWrite: () => store.blobs.openWrite(),
    }
    const broken = new Store({ blobs, directories: store.directories, pathInfos: store.pathInfos })
    const { url, errors } = await served(broken)
    for (const form of ['nar', 'tar', 'zip']) {
      const response = await fetch(`${url}/nix/store/${storePath}?download=${form}`)
      await expect(response.arrayBuffer()).rejects.toThrow()
    }
    expect(errors.length).toBe(3)
    expect((await fetch(`${url}/nix/store/${storePath}/b`)).status).toBe(500)
    expect((await fetch(`${url}/nix/store/${storePath}/a`)).status).toBe(200)
  })
})

async function directoryOf(node: Node): Promise<Directory> {
  if (node.kind !== 'directory') throw new Error(`expected a directory, got a ${node.kind}`)
  return (await store.directories.get(node.digest))!
}

function plain(name: string, size: bigint): ArchiveEntry {
  return { path: Buffer.from(name), kind: 'file', executable: false, size, target: undefined }
}

async function* each<T>(items: Iterable<T>): AsyncGenerator<T, void, undefined> {
  yield* items
}
