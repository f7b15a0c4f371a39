import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { B3Digest, type Directory, type Node } from '@neve/castore-model'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { IngestPathError, type IngestServices, ingestPath } from '@neve/castore-services/ingest/filesystem'
import { afterAll, describe, expect, it } from 'vitest'
import { HELLO } from '../src/contract/blob-fixtures.js'
import { COMPLICATED, WITH_KEEP } from '../src/contract/directory-fixtures.js'
import { embeddedServices, temporaryFolder } from './embedded-fixture.js'
import { makeComplicated, makeFiles } from './host-tree.js'

const CHILD = fileURLToPath(new URL('ingest-child.mjs', import.meta.url))

const closing: (() => Promise<void>)[] = []
afterAll(async () => {
  for (const close of closing) await close()
})

const kinds: readonly (readonly [string, () => Promise<IngestServices>])[] = [
  ['memory', async () => ({ blobs: new MemoryBlobService(), directories: new MemoryDirectoryService() })],
  [
    'embedded',
    async () => {
      const services = await embeddedServices()
      closing.push(() => services.engine.close())
      return services
    },
  ],
]

async function list(services: IngestServices, node: Node): Promise<Directory> {
  if (node.kind !== 'directory') throw new Error(`expected a directory, got a ${node.kind}`)
  const directory = await services.directories.get(node.digest)
  if (directory === undefined) throw new Error(`no directory ${node.digest}`)
  return directory
}

async function failure(doing: Promise<unknown>): Promise<IngestPathError> {
  const error: unknown = await doing.then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(error).toBeInstanceOf(IngestPathError)
  return error as IngestPathError
}

const pathOf = (error: IngestPathError): string => Buffer.from(error.path).toString()

describe.each(kinds)('filesystem import into %s services', (_name, make) => {
  it('FS-1 a symlink as the root is imported as a symlink, dangling or not', async () => {
    const path = join(temporaryFolder(), 'doesntmatter')
    symlinkSync('/nix/store/somewhereelse', path)
    const { node, symlinks, files, directories } = await ingestPath(await make(), path)
    expect(node).toMatchObject({ kind: 'symlink' })
    expect(node.kind === 'symlink' && node.target.toString()).toBe('/nix/store/somewhereelse')
    expect({ symlinks, files, directories }).toEqual({ symlinks: 1, files: 0, directories: 0 })
  })

  it('FS-2 a file as the root', async () => {
    const services = await make()
    const path = join(temporaryFolder(), 'root')
    writeFileSync(path, 'Hello World!')
    const { node, bytes } = await ingestPath(services, path)
    expect(node).toEqual({ kind: 'file', digest: HELLO.digest, size: 12n, executable: false })
    expect(await services.blobs.has(HELLO.digest)).toBe(true)
    expect(bytes).toBe(12)
  })

  it('FS-3 the tree "complicated"', async () => {
    const services = await make()
    const { node, ...counts } = await ingestPath(services, makeComplicated(temporaryFolder()))
    expect(node).toEqual({ kind: 'directory', digest: COMPLICATED.digest(), size: 4n })
    expect(counts).toMatchObject({ files: 2, directories: 2, symlinks: 1, bytes: 0 })
    for (const directory of [WITH_KEEP, COMPLICATED]) {
      expect((await services.directories.get(directory.digest()))?.equals(directory)).toBe(true)
    }
    expect(await services.blobs.has(B3Digest.EMPTY)).toBe(true)
  })

  it('06 section 9: with every entry counted twice, the parent has another digest', async () => {
    const { node } = await ingestPath(await make(), makeComplicated(temporaryFolder()), {
      directorySizes: 'twice',
    })
    expect(node).toMatchObject({ kind: 'directory', size: 8n })
    expect(node.kind === 'directory' && node.digest.toHex()).toBe(
      '424a7f6ce08d805d15b428062faae96299a1675d708c3a39261afe38cdd04feb',
    )
  })

  it('an empty folder', async () => {
    const services = await make()
    const { node } = await ingestPath(services, temporaryFolder())
    expect(node).toEqual({ kind: 'directory', digest: B3Digest.EMPTY, size: 0n })
    expect(await services.directories.get(B3Digest.EMPTY)).toBeDefined()
  })

  it('takes the owner’s execute bit and no other', async () => {
    const services = await make()
    const root = temporaryFolder()
    const modes = { none: 0o600, owner: 0o700, group: 0o610, other: 0o601, setuid: 0o4600, all: 0o4755 }
    for (const [name, mode] of Object.entries(modes)) {
      writeFileSync(join(root, name), name)
      chmodSync(join(root, name), mode)
    }
    const { entries } = await list(services, (await ingestPath(services, root)).node)
    const executable = entries.filter(({ node }) => node.kind === 'file' && node.executable)
    expect(executable.map(({ name }) => name.toString())).toEqual(['all', 'owner'])
  })

  it('keeps names and targets that are no UTF-8, byte for byte', async () => {
    const services = await make()
    const root = temporaryFolder()
    const inFolder = (folder: Uint8Array, name: Uint8Array) => Buffer.concat([folder, Buffer.from('/'), name])
    const names = ['ff', 'c3a4', 'efbda1', 'f09f9880', '0a1b5b', '5c', '80', '2d'].map((hex) =>
      Buffer.from(hex, 'hex'),
    )
    const longest = Buffer.alloc(255, 0xfe)
    const target = Buffer.from('ff2f2e2e2ffe20', 'hex')
    const folder = inFolder(Buffer.from(root), Buffer.from([0xfd, 0xff]))
    mkdirSync(folder)
    for (const name of [...names, longest]) writeFileSync(inFolder(folder, name), name)
    symlinkSync(target, inFolder(Buffer.from(root), Buffer.from([0xfc])))
    symlinkSync(Buffer.alloc(4095, 0xf1), inFolder(Buffer.from(root), Buffer.from('long')))

    const top = await list(services, (await ingestPath(services, Buffer.from(root))).node)
    expect(top.entries.map(({ name }) => Buffer.from(name.bytes).toString('hex'))).toEqual([
      '6c6f6e67',
      'fc',
      'fdff',
    ])
    const [long, link, below] = top.entries
    expect(link?.node.kind === 'symlink' && Buffer.from(link.node.target.bytes)).toEqual(target)
    expect(long?.node.kind === 'symlink' && long.node.target.bytes.length).toBe(4095)
    const inner = await list(services, below!.node)
    const sorted = [...names, longest].sort(Buffer.compare)
    expect(inner.entries.map(({ name }) => Buffer.from(name.bytes))).toEqual(sorted)
    for (const { name, node } of inner.entries) {
      expect(node.kind === 'file' && node.digest.equals(B3Digest.of(name.bytes))).toBe(true)
    }
    // The folder itself, named by bytes.
    expect((await ingestPath(services, folder)).node).toEqual(below!.node)
  })

  it('more than 600 files in one folder, in order, among hundreds of folders', async () => {
    const services = await make()
    const root = temporaryFolder()
    mkdirSync(join(root, 'm'))
    for (let i = 0; i < 700; i++) writeFileSync(join(root, 'm', `${i}`), `content ${i}`)
    for (let i = 0; i < 300; i++) {
      mkdirSync(join(root, `d${i}`))
      writeFileSync(join(root, `d${i}`, 'only'), `${i}`)
    }
    const { node, files, directories } = await ingestPath(services, root)
    expect({ files, directories }).toEqual({ files: 1000, directories: 302 })
    const top = await list(services, node)
    expect(top.entries).toHaveLength(301)
    const many = await list(services, top.entries.find(({ name }) => name.toString() === 'm')!.node)
    expect(many.entries).toHaveLength(700)
    for (const { name, node } of many.entries) {
      const content = Buffer.from(`content ${name}`)
      expect(node).toEqual({
        kind: 'file',
        digest: B3Digest.of(content),
        size: BigInt(content.length),
        executable: false,
      })
      expect(Buffer.from((await services.blobs.get(B3Digest.of(content)))!)).toEqual(content)
    }
  })

  it('a tree 300 folders deep', async () => {
    const services = await make()
    const root = temporaryFolder()
    let path = root
    for (let depth = 0; depth < 300; depth++) {
      path = join(path, 'd')
      mkdirSync(path)
      writeFileSync(join(path, 'f'), `${depth}`)
    }
    let { node } = await ingestPath(services, root)
    expect(node).toMatchObject({ size: 600n })
    for (let depth = 0; depth < 300; depth++) {
      const inner = (await list(services, node)).entries.find(({ name }) => name.toString() === 'd')!.node
      const file = (await list(services, inner)).entries.find(({ name }) => name.toString() === 'f')!.node
      expect(file.kind === 'file' && file.digest.equals(B3Digest.of(Buffer.from(`${depth}`)))).toBe(true)
      node = inner
    }
  })

  it('the same result in this thread and in others', async () => {
    const root = temporaryFolder()
    const small = makeFiles(join(root, 'small'), 200)
    writeFileSync(join(small, 'large'), Buffer.alloc(3_000_000, 'large '))
    makeFiles(join(root, 'more'), 500, 2)
    const here = await make()
    const threads = await make()
    const { node } = await ingestPath(here, small)
    const whole = await list(threads, (await ingestPath(threads, root)).node)
    const found = whole.entries.find(({ name }) => name.toString() === 'small')!.node
    expect(found).toEqual(node)
    expect((await list(threads, found)).equals(await list(here, node))).toBe(true)
  })
})

describe('the root of a filesystem import', () => {
  const memory = (): IngestServices => ({
    blobs: new MemoryBlobService(),
    directories: new MemoryDirectoryService(),
  })

  it.each([
    ['.', 'x'],
    ['./', 'x'],
    ['..', 'x/keep'],
    ['../x', 'x'],
    ['./x/', ''],
    ['x/.', ''],
    ['x//', ''],
    ['x/keep/..', ''],
    ['./x/../x', ''],
  ])('06 section 3.6 given as %j', async (given, from) => {
    const folder = temporaryFolder()
    cpSync(makeComplicated(temporaryFolder()), join(folder, 'x'), { recursive: true, verbatimSymlinks: true })
    const hex = Buffer.from(given).toString('hex')
    const printed = execFileSync(process.execPath, [CHILD, hex, 'memory'], { cwd: join(folder, from) })
    expect(JSON.parse(printed.toString())).toMatchObject({ digest: COMPLICATED.digest().toHex() })
  })

  it('06 section 3.6 given absolutely, relative to here, as bytes, with slashes behind', async () => {
    const path = makeComplicated(temporaryFolder())
    for (const given of [path, `${path}/`, `${path}//.`, relative('.', path), Buffer.from(path)]) {
      expect((await ingestPath(memory(), given)).node).toMatchObject({ digest: COMPLICATED.digest() })
    }
  })

  it('a symlink to a folder is not followed', async () => {
    const path = join(temporaryFolder(), 'link')
    symlinkSync(makeComplicated(temporaryFolder()), path)
    expect((await ingestPath(memory(), path)).node.kind).toBe('symlink')
  })

  it.each([
    ['missing', (folder: string) => join(folder, 'nothing'), 'ENOENT'],
    ['below a file', (folder: string) => join(folder, 'file', 'below'), 'ENOTDIR'],
    ['with a NUL', (folder: string) => join(folder, 'a\0b'), 'null bytes'],
  ])('%s: refused with its path', async (_name, make, reason) => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'file'), '')
    const error = await failure(ingestPath(memory(), make(folder)))
    expect(error).toMatchObject({ code: 'stat', message: expect.stringContaining(reason) })
    expect(pathOf(error)).toBe(make(folder))
    expect(error.cause).toBeInstanceOf(Error)
  })

  it('empty: refused, it is not the current folder', async () => {
    expect(await failure(ingestPath(memory(), ''))).toMatchObject({ code: 'stat' })
  })
})

describe.each(kinds)('what cannot be imported into %s services', (_name, make) => {
  const fifo = (path: string) => execFileSync('mkfifo', [path])

  it.each([
    ['in the tree', (folder: string) => folder],
    ['as the root', (folder: string) => join(folder, 'sub', 'pipe')],
  ])('06 section 3.2 a FIFO %s, by its name', async (_where, root) => {
    const folder = temporaryFolder()
    mkdirSync(join(folder, 'sub'))
    writeFileSync(join(folder, 'file'), 'x')
    fifo(join(folder, 'sub', 'pipe'))
    const error = await failure(ingestPath(await make(), root(folder)))
    expect(error).toMatchObject({ name: 'IngestPathError', code: 'file-type' })
    expect(error.message).toContain('is a FIFO')
    expect(pathOf(error)).toBe(join(folder, 'sub', 'pipe'))
  })

  it('06 section 3.2 a socket, by its name', async () => {
    const path = join(temporaryFolder(), 'socket')
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(path, resolve))
    try {
      const error = await failure(ingestPath(await make(), join(path, '..')))
      expect(error).toMatchObject({ code: 'file-type', message: expect.stringContaining('is a socket') })
      expect(pathOf(error)).toBe(path)
    } finally {
      server.close()
    }
  })

  it('06 section 3.2 a device, by its name', async () => {
    const error = await failure(ingestPath(await make(), '/dev/null'))
    expect(error).toMatchObject({ code: 'file-type', message: expect.stringContaining('a character device') })
    expect(pathOf(error)).toBe('/dev/null')
  })

  it('a file that has more bytes than it says', async () => {
    expect(statSync('/proc/version').size).toBe(0)
    expect(readFileSync('/proc/version').length).toBeGreaterThan(0)
    expect(await failure(ingestPath(await make(), '/proc/version'))).toMatchObject({ code: 'file-changed' })
  })
})

describe('what may not be read', () => {
  const NOBODY = 65534
  const identity = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}
  /** The outcome of an import as somebody who is not root. */
  const ingestAsNobody = (path: string): Record<string, unknown> => {
    const args = [CHILD, Buffer.from(path).toString('hex'), 'memory']
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { ...identity, cwd: '/' })
    if (status !== 0) throw new Error(`the child ended with ${status}: ${stderr}`)
    return JSON.parse(stdout.toString()) as Record<string, unknown>
  }
  const reachable = spawnSync(process.execPath, [CHILD, Buffer.from('/nothing').toString('hex'), 'memory'], {
    ...identity,
    cwd: '/',
  })
  const impossible = reachable.status !== 0 && process.env['NEVE_TEST_REQUIRE'] !== 'all'

  it.each([
    ['a file', 'secret', 'blob-read'],
    ['a large file', 'large', 'blob-read'],
    ['a folder', 'closed', 'stat'],
    ['a folder that cannot be entered', 'listed', 'blob-read'],
  ])('06 section 3.6 %s: refused with its path', (_what, name, code) => {
    if (impossible) return
    const folder = temporaryFolder()
    chmodSync(folder, 0o755)
    const path = join(folder, name)
    if (code === 'stat' || name === 'listed') {
      mkdirSync(path)
      writeFileSync(join(path, 'inner'), 'x')
      chmodSync(path, name === 'listed' ? 0o744 : 0o711)
      if (process.getuid?.() !== 0) chmodSync(path, name === 'listed' ? 0o600 : 0o300)
    } else {
      writeFileSync(path, Buffer.alloc(name === 'large' ? 2_000_000 : 10))
      chmodSync(path, 0o000)
    }
    const failing = name === 'listed' ? join(path, 'inner') : path
    expect(ingestAsNobody(folder)).toMatchObject({ name: 'IngestPathError', code, path: failing })
    expect(ingestAsNobody(folder)['message']).toContain('EACCES')
    chmodSync(path, 0o700)
  })

  it('06 section 3.6 whether it can be tried here', ({ skip }) => {
    if (impossible) skip(`another user cannot run this package: ${reachable.stderr}`)
    expect(reachable.status).toBe(0)
  })
})

describe('several processes at once', () => {
  it('give the same result, which is whole', async () => {
    const root = makeFiles(temporaryFolder(), 900, 7)
    writeFileSync(join(root, 'large'), Buffer.alloc(6_000_000, 'many processes '))
    const expected = await ingestPath(
      { blobs: new MemoryBlobService(), directories: new MemoryDirectoryService() },
      root,
    )
    const first = await embeddedServices()
    const second = await embeddedServices(first.engine.path)
    const child = () =>
      new Promise<{ digest?: string }>((resolve, reject) => {
        const args = [CHILD, Buffer.from(root).toString('hex'), first.engine.path]
        const running = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
        let printed = ''
        running.stdout.on('data', (data: Buffer) => {
          printed += data.toString()
        })
        running.on('error', reject)
        running.on('close', () => resolve(JSON.parse(printed) as { digest?: string }))
      })
    const [here, there, ...children] = await Promise.all([
      ingestPath(first, root),
      ingestPath(second, root),
      child(),
      child(),
      child(),
    ])
    expect(here.node).toEqual(expected.node)
    expect(there.node).toEqual(expected.node)
    const digest = expected.node.kind === 'directory' && expected.node.digest.toHex()
    for (const outcome of children) expect(outcome).toMatchObject({ digest, files: 901 })
    await first.engine.close()
    await second.engine.close()

    const after = await embeddedServices(first.engine.path)
    if (expected.node.kind !== 'directory') throw new Error('expected a directory')
    for await (const directory of after.directories.getRecursive(expected.node.digest)) {
      for (const { node } of directory.entries) {
        if (node.kind !== 'file') continue
        const content = await after.blobs.get(node.digest, { maxSize: 10_000_000 })
        expect(content?.length).toBe(Number(node.size))
      }
    }
    await after.engine.close()
  })
})
