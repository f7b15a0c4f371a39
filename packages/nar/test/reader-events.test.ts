import { assertEnd, NAR_TOKENS, narEvents, readNarToEnd } from '@neve/nar'
import { ByteSource, encodeU64 } from '@neve/nix-compat/wire'
import { describe, expect, test } from 'vitest'
import {
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
} from './archives.js'
import { COMPLICATED } from './vectors.js'

const complicated = encodeTree(COMPLICATED.tree)

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
