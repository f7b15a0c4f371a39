import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NarError } from '@neve/nar'
import { dumpPath, restorePath } from '@neve/nar/node'
import { ByteSource, collectBytes } from '@neve/nix-compat/wire'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  ascii,
  code,
  directory,
  encodeTree,
  failure,
  file,
  hex,
  raw,
  rest,
  sha256,
  symlink,
  toHex,
} from './archives.js'
import { VECTORS } from './vectors.js'

let scratch: string
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'neve-nar-'))
})
afterEach(() => rmSync(scratch, { recursive: true, force: true }))

const dump = (path: string | Uint8Array) => collectBytes(dumpPath(path), 2 ** 30)
const large = Uint8Array.from({ length: 700_001 }, (_, index) => index * 13)
const sizes = [0, 1, 32_766, 32_767, 32_768, 262_143, 262_144, 262_145]

describe('dump and restore', () => {
  test.each(VECTORS)('09#61 $id through the filesystem and back', async ({ tree, sha256: digest }) => {
    const path = join(scratch, 'tree')
    await restorePath(encodeTree(tree), path)
    const archive = await dump(path)
    expect(toHex(archive)).toBe(toHex(encodeTree(tree)))
    expect(sha256(archive)).toBe(digest)
  })

  test('files around the sizes at which reading changes', async () => {
    const tree = directory(
      ...sizes.map((size): [string, ReturnType<typeof file>] => [
        `f${String(size).padStart(7, '0')}`,
        file(large.subarray(0, size)),
      ]),
      ['large', file(large, true)],
    )
    const archive = encodeTree(tree)
    const path = join(scratch, 'tree')
    const chunks = Array.from({ length: Math.ceil(archive.length / 10_007) }, (_, index) =>
      archive.subarray(index * 10_007, (index + 1) * 10_007),
    )
    await restorePath(chunks, path)
    expect(Buffer.compare(readFileSync(join(path, 'large')), large)).toBe(0)
    expect(Buffer.compare(await dump(path), archive)).toBe(0)
  })

  test('pieces of a dump stay as they were', async () => {
    writeFileSync(join(scratch, 'a'), large)
    const pieces: [Uint8Array, string][] = []
    for await (const piece of dumpPath(scratch)) pieces.push([piece, sha256(piece)])
    for (const [piece, digest] of pieces) expect(sha256(piece)).toBe(digest)
  })

  test('nothing is read before the first piece is asked for', async () => {
    const stream = dumpPath(join(scratch, 'later'))
    writeFileSync(join(scratch, 'later'), 'now')
    expect(await collectBytes(stream, 999)).toEqual(encodeTree(file('now')))
  })
})

describe('dump', () => {
  test('names and targets that are not UTF-8, and a path given as bytes', async () => {
    const odd = Buffer.concat([Buffer.from(`${scratch}/`), hex('ff80')])
    mkdirSync(odd)
    writeFileSync(Buffer.concat([odd, Buffer.from('/'), hex('fe')]), 'x')
    symlinkSync(Buffer.from(hex('c0c1')), Buffer.concat([odd, Buffer.from('/'), hex('c3')]))
    const tree = directory([hex('c3'), { symlink: hex('c0c1') }], [hex('fe'), file('x')])
    expect(toHex(await dump(odd))).toBe(toHex(encodeTree(tree)))
  })

  test("the executable bit is the owner's", async () => {
    const path = join(scratch, 'f')
    writeFileSync(path, 'x')
    for (const [mode, executable] of [
      [0o744, true],
      [0o500, true],
      [0o611, false],
      [0o4755, true],
    ] as const) {
      chmodSync(path, mode)
      expect(toHex(await dump(path))).toBe(toHex(encodeTree(file('x', executable))))
    }
  })

  test('sockets are refused by path, wherever they are', async () => {
    const path = join(scratch, 'socket')
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(path, resolve))
    try {
      for (const from of [path, scratch]) {
        const error = await failure(dump(from))
        expect(error).toBeInstanceOf(NarError)
        expect(error).toMatchObject({ code: 'invalid-input', path, actual: 'a socket' })
      }
    } finally {
      await new Promise((resolve) => server.close(resolve))
    }
  })

  test('what does not exist is an error of the filesystem', async () => {
    expect(await code(dump(join(scratch, 'none')))).toBe('ENOENT')
  })

  test('a file that changes while it is read', async () => {
    for (const [change, expected] of [
      [(path: string) => truncateSync(path, 400_000), 'unexpected-eof'],
      [(path: string) => writeFileSync(path, 'more', { flag: 'a' }), 'invalid-input'],
    ] as const) {
      const path = join(scratch, `f-${expected}`)
      writeFileSync(path, large)
      const stream = dumpPath(path)
      await stream.next()
      change(path)
      const error = await failure(collectBytes(stream, 2 ** 30))
      expect(error).toMatchObject({ name: 'NarError', code: expected, path })
    }
  })

  test('stopping early closes the file', async () => {
    writeFileSync(join(scratch, 'f'), large)
    const before = readdirSync('/proc/self/fd').length
    for await (const _piece of dumpPath(join(scratch, 'f'))) break
    expect(readdirSync('/proc/self/fd')).toHaveLength(before)
  })
})

describe('restore', () => {
  test('refuses what exists, a dangling link too, and leaves it alone', async () => {
    const path = join(scratch, 'there')
    for (const make of [
      () => writeFileSync(path, 'mine'),
      () => mkdirSync(path),
      () => symlinkSync('/nowhere', path),
    ]) {
      make()
      for (const tree of [file('x'), directory(), symlink('t')]) {
        const error = await failure(restorePath(encodeTree(tree), path))
        expect(error).toMatchObject({ name: 'NarError', code: 'invalid-input', path })
      }
      expect(lstatSync(path)).toBeDefined()
      rmSync(path, { recursive: true })
    }
  })

  test('nothing gets out of the destination', async () => {
    const outside = join(scratch, 'outside')
    mkdirSync(outside)
    const path = join(scratch, 'tree')
    const hostile = [
      directory(['..', directory(['x', file('x')])]),
      directory(['../outside/x', file('x')]),
      directory(['a', symlink(outside)], ['a', directory(['x', file('x')])]),
      directory(['a', symlink(outside)], ['a/x', file('x')]),
      directory([`${outside}/x`, file('x')]),
    ]
    for (const tree of hostile) {
      expect(await code(restorePath(encodeTree(tree), path))).toBe('invalid-data')
      expect(readdirSync(scratch)).toEqual(['outside'])
      expect(readdirSync(outside)).toEqual([])
    }
    await restorePath(encodeTree(symlink(outside)), path)
    expect(readlinkSync(path)).toBe(outside)
  })

  test('a broken archive leaves nothing behind', async () => {
    const archive = encodeTree(directory(['a', directory(['b', file('x'.repeat(99))])], ['c', file('y')]))
    const path = join(scratch, 'tree')
    for (const cut of [0, 90, 300, 420, archive.length - 1]) {
      expect(await code(restorePath(archive.subarray(0, cut), path))).toBe('unexpected-eof')
      expect(readdirSync(scratch)).toEqual([])
    }
  })

  test('bytes behind the archive: refused, or left in the source', async () => {
    const more = raw('more')
    expect(await code(restorePath([encodeTree(file('x')), more], join(scratch, 'a')))).toBe('invalid-data')
    expect(readdirSync(scratch)).toEqual([])
    const source = ByteSource.from([encodeTree(file('x')), more])
    await restorePath(source, join(scratch, 'a'))
    expect(await rest(source)).toEqual(more)
    expect(readFileSync(join(scratch, 'a'))).toEqual(Buffer.from(ascii('x')))
  })
})
