import {
  assertEnd,
  NAR_TOKENS,
  type NarDirectory,
  NarError,
  type NarFile,
  type NarNode,
  narEvents,
  openNar,
  readNarToEnd,
} from '@neve/nar'
import { ByteSource, encodeU64, MemorySink } from '@neve/nix-compat/wire'
import { describe, expect, test } from 'vitest'
import {
  ascii,
  bytewise,
  code,
  directory,
  encodeNode,
  encodeTree,
  failure,
  file,
  hex,
  packet,
  raw,
  readTree,
  rest,
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

describe('events', () => {
  test('the complicated archive, whole and byte by byte', async () => {
    for (const input of [complicated, bytewise(complicated)]) {
      const events: unknown[] = []
      for await (const event of narEvents(input)) {
        const { type, depth } = event
        events.push([type, depth, 'name' in event ? Buffer.from(event.name).toString() : undefined])
      }
      expect(events).toEqual([
        ['directory-start', 0, ''],
        ['file', 1, '.keep'],
        ['symlink', 1, 'aa'],
        ['directory-start', 1, 'keep'],
        ['file', 2, '.keep'],
        ['directory-end', 1, undefined],
        ['directory-end', 0, undefined],
      ])
    }
  })

  test('content can be read or left; what follows is refused or kept', async () => {
    const tree = directory(['a', file('left alone')], ['b', file('read', true)])
    const archive = encodeTree(tree)
    const contents: string[] = []
    const walk = async (input: ByteSource | Uint8Array[]) => {
      for await (const event of narEvents(input)) {
        if (event.type !== 'file' || !event.executable) continue
        expect(event.size).toBe(4n)
        contents.push(Buffer.from(await event.content.bytes(99)).toString())
      }
    }
    const extra = hex('00')
    const source = ByteSource.from([archive, extra])
    await walk(source)
    expect(await rest(source)).toEqual(extra)
    expect(await code(walk([archive, extra]))).toBe('invalid-data')
    await walk([archive])
    expect(contents).toEqual(['read', 'read', 'read'])
  })

  test('assertEnd', async () => {
    const source = ByteSource.from([hex('01'), new Uint8Array(0), hex('0203')])
    expect(await failure(assertEnd(source))).toMatchObject({
      code: 'invalid-data',
      offset: 0n,
      actual: '0x01',
    })
    await assertEnd(ByteSource.from([new Uint8Array(0)]))
    const foo = new Error('foo')
    const failing = ByteSource.from(
      // biome-ignore lint/correctness/useYield: a stream that fails at once
      (async function* (): AsyncGenerator<Uint8Array> {
        throw foo
      })(),
    )
    await expect(assertEnd(failing)).rejects.toBe(foo)
  })

  test('offsets count from the beginning of the archive, wherever it begins', async () => {
    const source = ByteSource.from([hex('ffff'), complicated.subarray(0, 300)])
    await source.pull()
    source.window(2)
    source.advance(2)
    expect(await failure(readNarToEnd(source))).toMatchObject({ code: 'unexpected-eof', offset: 300n })
  })
})

describe('limits', () => {
  function nested(levels: number): Tree {
    let tree: Tree = directory()
    for (let level = 1; level < levels; level++) tree = directory(['d', tree])
    return tree
  }

  test('depth: 64 levels by default, configurable, and no recursion', async () => {
    expect(await readNarToEnd(encodeTree(nested(64)))).toBeGreaterThan(0n)
    expect(await failure(readNarToEnd(encodeTree(nested(65))))).toMatchObject({
      code: 'invalid-data',
      actual: '64',
      expected: 'a depth below 64',
    })
    expect(await code(readNarToEnd(encodeTree(nested(3)), { maxDepth: 2 }))).toBe('invalid-data')
    expect(await code(readNarToEnd(encodeTree(directory(['a', file('')])), { maxDepth: 1 }))).toBe(
      'invalid-data',
    )

    const levels = 100_000
    const open = raw('(', 'type', 'directory', 'entry', '(', 'name', 'd', 'node')
    const parts = function* () {
      yield packet('nix-archive-1')
      for (let level = 1; level < levels; level++) yield open
      yield encodeNode(directory())
      const close = raw(')', ')')
      for (let level = 1; level < levels; level++) yield close
    }
    const size = await readNarToEnd(parts(), { maxDepth: Number.POSITIVE_INFINITY })
    expect(size).toBe(BigInt(24 + (levels - 1) * (open.length + 32) + encodeNode(directory()).length))
    expect(await code(readNarToEnd(parts()))).toBe('invalid-data')
  })

  test('names and targets: the format is the most, and less can be asked for', async () => {
    const longName = encodeTree(directory(['n'.repeat(255), file('')]))
    const longTarget = encodeTree(symlink('t'.repeat(4095)))
    await readTree(longName)
    await readTree(longTarget)
    expect(await code(readTree(longName, { maxNameLength: 254 }))).toBe('invalid-data')
    expect(await code(readTree(longTarget, { maxTargetLength: 4094 }))).toBe('invalid-data')
    const tooLong = encodeTree(directory(['n'.repeat(256), file('')]))
    expect(await code(readTree(tooLong, { maxNameLength: 1000 }))).toBe('invalid-data')
    expect(await code(readTree(encodeTree(symlink('t'.repeat(4096))), { maxTargetLength: 9999 }))).toBe(
      'invalid-data',
    )
  })

  test('a length that lies is refused before anything behind it is read', async () => {
    const { magic, directory: dir, entry, symlink: link } = NAR_TOKENS
    for (const lie of [0n, 256n, 4096n, 2n ** 63n, 2n ** 64n - 1n]) {
      const name = strict(magic, dir, entry, encodeU64(lie))
      expect(await failure(readTree(name))).toMatchObject({
        code: 'invalid-data',
        offset: 128n,
        actual: `${lie}`,
      })
      if (lie === 256n) continue
      const target = strict(magic, link, encodeU64(lie))
      expect(await failure(readTree(target))).toMatchObject({ code: 'invalid-data', offset: 88n })
    }
  })
})
