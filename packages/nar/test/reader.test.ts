import { type NarDirectory, NarError, type NarFile, type NarNode, narEvents, openNar } from '@neve/nar'
import { ByteSource, MemorySink } from '@neve/nix-compat/wire'
import { describe, expect, test } from 'vitest'
import {
  ascii,
  bytewise,
  code,
  directory,
  encodeTree,
  failure,
  file,
  raw,
  strict,
  symlink,
  type Tree,
  toHex,
} from './archives.js'
import { COMPLICATED, SOMEWHERE, VECTORS } from './vectors.js'

const complicated = encodeTree(COMPLICATED.tree)

function asDirectory(node: NarNode | undefined): NarDirectory {
  if (node?.kind !== 'directory') throw new Error(`a ${node?.kind} where a directory was expected`)
  return node.entries
}

function asFile(node: NarNode | undefined): NarFile {
  if (node?.kind !== 'file') throw new Error(`a ${node?.kind} where a file was expected`)
  return node.content
}

describe('shape', () => {
  test('09#51 a symlink', async () => {
    expect(await openNar(strict(encodeTree(VECTORS[3]!.tree)))).toEqual({
      kind: 'symlink',
      target: SOMEWHERE,
    })
  })

  test("the bytes of a file are the caller's own, be the source a Buffer", async () => {
    const source = Buffer.from(encodeTree(VECTORS[2]!.tree))
    const bytes = await asFile(await openNar([source])).bytes(12)
    source.fill(0)
    expect(toHex(bytes)).toBe(toHex(ascii('Hello World!')))
  })

  test('09#52 a file', async () => {
    const source = strict(encodeTree(VECTORS[2]!.tree))
    const root = await openNar(source)
    expect(root).toMatchObject({ kind: 'file', executable: false })
    const content = asFile(root)
    expect(content.size).toBe(12n)
    expect(content.length).toBe(12n)
    expect(toHex(await content.bytes(12))).toBe(toHex(ascii('Hello World!')))
    expect(content.length).toBe(0n)
    expect(source.position).toBe(128n)
    expect(await content.read()).toHaveLength(0)
    await content.skip()
  })

  test('09#53 the complicated archive', async () => {
    const source = strict(complicated)
    const root = asDirectory(await openNar(source))
    const keep = await root.next()
    expect(keep?.name).toEqual(ascii('.keep'))
    expect(keep?.node).toMatchObject({ kind: 'file', executable: false })
    expect(await asFile(keep?.node).read()).toHaveLength(0)
    expect(await root.next()).toEqual({ name: ascii('aa'), node: { kind: 'symlink', target: SOMEWHERE } })
    const last = await root.next()
    expect(last?.name).toEqual(ascii('keep'))
    const inner = asDirectory(last?.node)
    const empty = await inner.next()
    expect(empty?.name).toEqual(ascii('.keep'))
    expect(await asFile(empty?.node).read()).toHaveLength(0)
    expect(await inner.next()).toBeNull()
    expect(await root.next()).toBeNull()
    expect(source.position).toBe(840n)
  })

  test('nothing past a directory token is read before its first entry is asked for', async () => {
    const source = strict(raw('nix-archive-1', '(', 'type', 'directory'))
    const root = asDirectory(await openNar(source))
    expect(source.position).toBe(80n)
    await expect(root.next()).rejects.toThrow('asked for more')
  })

  test('a file is delivered as it comes, and its last block only when all behind it is right', async () => {
    const whole = encodeTree(file('0123456789'))
    const source = strict(whole.subarray(0, -24), whole.subarray(-24, -1))
    const content = asFile(await openNar(source))
    expect(await content.read()).toEqual(ascii('01234567'))
    await expect(content.read(2)).rejects.toThrow('asked for more')
    expect(content.length).toBe(2n)
  })
})

describe('misuse', () => {
  const first = encodeTree(directory(['a', file('x')], ['aa', symlink('t')]))

  test('09#54 an abandoned file', async () => {
    const root = asDirectory(await openNar(first))
    const content = asFile((await root.next())?.node)
    const error = await failure(root.next())
    expect(error).toBeInstanceOf(NarError)
    expect(error).toMatchObject({ code: 'misuse' })
    expect(await code(root.next())).toBe('misuse')
    expect(await code(content.read())).toBe('misuse')
    expect(await code(content.skip())).toBe('misuse')
  })

  test('09#54 an empty file needs no reading', async () => {
    const root = asDirectory(await openNar(complicated))
    await root.next()
    expect((await root.next())?.name).toEqual(ascii('aa'))
  })

  test('09#55 an abandoned directory', async () => {
    const root = asDirectory(await openNar(complicated))
    await root.next()
    await root.next()
    const inner = asDirectory((await root.next())?.node)
    expect(await code(root.next())).toBe('misuse')
    expect(await code(inner.next())).toBe('misuse')
  })

  test('09#56 next after null, of the root and of a child', async () => {
    const root = asDirectory(await openNar(complicated))
    const keep = asFile((await root.next())?.node)
    await root.next()
    const inner = asDirectory((await root.next())?.node)
    await inner.next()
    expect(await inner.next()).toBeNull()
    expect(await root.next()).toBeNull()
    expect(await keep.read()).toHaveLength(0)
    expect(await code(root.next())).toBe('misuse')
    expect(await code(keep.read())).toBe('misuse')
    expect(await code(inner.next())).toBe('misuse')

    const again = asDirectory(await openNar(encodeTree(directory(['a', directory()], ['b', file('')]))))
    const child = asDirectory((await again.next())?.node)
    expect(await child.next()).toBeNull()
    expect(await code(child.next())).toBe('misuse')
    expect(await code(again.next())).toBe('misuse')
  })

  test('skipping a directory whose child is unfinished', async () => {
    const root = asDirectory(await openNar(first))
    await root.next()
    expect(await code(root.skip())).toBe('misuse')
  })

  test('two calls at a time', async () => {
    const root = asDirectory(await openNar(first))
    const results = await Promise.allSettled([root.next(), root.next()])
    expect(results.map(({ status }) => status)).toContain('rejected')
    expect(await code(root.next())).toBe('misuse')
  })

  test('any error spoils everything, and the later ones name it as their cause', async () => {
    const bad = first.slice()
    bad[first.length - 16 - 16] = 9
    const root = asDirectory(await openNar(bad))
    await asFile((await root.next())?.node).skip()
    const error = await root.next().then(
      () => failure(root.next()),
      (e: Error) => e,
    )
    expect(error).toMatchObject({ code: 'invalid-data' })
    const later = await failure(root.next())
    expect(later).toMatchObject({ code: 'misuse', cause: error })
  })

  test('an error of the source passes through, even one that looks like ours', async () => {
    for (const mine of [new Error('foo'), new NarError('invalid-data', 'foo')]) {
      const source = ByteSource.from(
        (async function* () {
          yield complicated.subarray(0, 200)
          throw mine
        })(),
      )
      const root = asDirectory(await openNar(source))
      await expect(
        (async () => {
          while ((await root.next()) !== null);
        })(),
      ).rejects.toBe(mine)
      expect(await code(root.next())).toBe('misuse')
    }
  })

  test('an error of the destination of a copy passes through and spoils', async () => {
    const full = new Error('disk full')
    const root = asDirectory(await openNar(first))
    const content = asFile((await root.next())?.node)
    const sink = {
      write() {
        throw full
      },
    }
    await expect(content.copyTo(sink)).rejects.toBe(full)
    expect(await code(root.next())).toBe('misuse')
  })

  test('a file larger than the buffer that was allowed for it', async () => {
    const root = asDirectory(await openNar(first))
    const content = asFile((await root.next())?.node)
    expect(await code(content.bytes(0))).toBe('invalid-data')
    expect(await code(root.next())).toBe('misuse')
  })
})

describe('skipping', () => {
  const deep = directory(
    [
      'a',
      directory(['b', file('content')], ['c', directory(['d', file('x'.repeat(99))])], ['e', symlink('t')]),
    ],
    ['z', file('last')],
  )

  test('a directory, with everything in it checked', async () => {
    const root = asDirectory(await openNar(strict(encodeTree(deep))))
    const inner = asDirectory((await root.next())?.node)
    await inner.skip()
    await inner.skip()
    const last = await root.next()
    expect(last?.name).toEqual(ascii('z'))
    await asFile(last?.node).skip()
    expect(await root.next()).toBeNull()

    const archive = encodeTree(deep)
    const at = Buffer.from(archive).indexOf('x'.repeat(99)) + 99
    archive[at] = 1
    const damaged = asDirectory(await openNar(archive))
    expect(await failure(asDirectory((await damaged.next())?.node).skip())).toMatchObject({
      code: 'invalid-data',
      offset: BigInt(at),
    })
  })

  test('iteration skips what was left, wherever it was left', async () => {
    const names: string[] = []
    for await (const { name, node } of asDirectory(await openNar(strict(encodeTree(deep))))) {
      names.push(Buffer.from(name).toString())
      if (node.kind !== 'directory') continue
      await node.entries.next()
    }
    expect(names).toEqual(['a', 'z'])
  })

  test('iterating a finished directory yields nothing', async () => {
    const root = asDirectory(await openNar(encodeTree(directory())))
    for (let turn = 0; turn < 3; turn++) {
      for await (const _entry of root) throw new Error('an entry out of nothing')
    }
  })

  test('iteration of a file in pieces', async () => {
    const content = asFile(await openNar(bytewise(encodeTree(file('0123456789')))))
    const pieces: string[] = []
    for await (const piece of content) pieces.push(Buffer.from(piece).toString())
    expect(pieces.join('')).toBe('0123456789')
    expect(pieces.length).toBeGreaterThan(2)
  })

  test('copyTo and bytes', async () => {
    const sink = new MemorySink()
    await asFile(await openNar(bytewise(encodeTree(file('0123456789'))))).copyTo(sink)
    expect(sink.bytes()).toEqual(ascii('0123456789'))
    const content = asFile(await openNar(bytewise(encodeTree(file('0123456789')))))
    expect(await content.bytes(10)).toEqual(ascii('0123456789'))
  })
})

describe('abandoning', () => {
  function watched(archive: Uint8Array) {
    const seen = { released: 0, pulled: 0 }
    const source = (async function* () {
      try {
        for (let at = 0; at < archive.length; at += 64) {
          seen.pulled++
          yield archive.subarray(at, at + 64)
        }
      } finally {
        seen.released++
      }
    })()
    return { seen, source }
  }
  const many = encodeTree(
    directory(...'abcdefgh'.split('').map((name): [string, Tree] => [name, file(name)])),
  )

  test('leaving the loop over the root releases the source and reads no further', async () => {
    const { seen, source } = watched(many)
    const root = asDirectory(await openNar(source))
    for await (const { node } of root) {
      expect(node.kind).toBe('file')
      break
    }
    const pulled = seen.pulled
    expect(pulled).toBeLessThan(many.length / 64 / 2)
    expect(seen.released).toBe(1)
    expect(await code(root.next())).toBe('misuse')
    expect(seen.pulled).toBe(pulled)
  })

  test('so does leaving the loop over the events, or throwing in it', async () => {
    for (const leave of [() => false, () => true]) {
      const { seen, source } = watched(many)
      const walk = async () => {
        for await (const event of narEvents(source)) {
          if (event.type !== 'file') continue
          if (leave()) throw new Error('enough')
          break
        }
      }
      await walk().catch(() => undefined)
      expect(seen).toMatchObject({ released: 1, pulled: 4 })
    }
  })
})
