import { NarError, type NarNodeWriter, type NarRootWriter, openNarWriter } from '@neve/nar'
import { bytesFrom, MemorySink } from '@neve/nix-compat/wire'
import { describe, expect, test } from 'vitest'
import { ascii, code, directory, encodeTree, failure, file, hex, sha256, symlink, toHex } from './archives.js'

type Step = (root: NarRootWriter) => Promise<unknown>

const opened = () => openNarWriter(new MemorySink())

describe('09#63 misuse', () => {
  const inDirectory =
    (...names: (string | Uint8Array)[]): Step =>
    async (root) => {
      const writer = await root.directory()
      for (const name of names) {
        const node = await writer.entry(typeof name === 'string' ? ascii(name) : name)
        await node.symlink(ascii('t'))
      }
    }
  const rows: [string, Step][] = [
    ['names out of order', inDirectory('b', 'a')],
    ['names out of byte order', inDirectory(hex('f09f9880'), hex('efbda1'))],
    ['a name before its prefix', inDirectory('ab', 'a')],
    ['equal names', inDirectory('a', 'a')],
    ['an empty name', inDirectory('')],
    ['the name .', inDirectory('.')],
    ['the name ..', inDirectory('..')],
    ['a name with /', inDirectory('a/b')],
    ['a name with NUL', inDirectory('a\0')],
    ['a name of 256 bytes', inDirectory('a'.repeat(256))],
    ['an empty target', (root) => root.symlink(ascii(''))],
    ['a target with NUL', (root) => root.symlink(ascii('a\0'))],
    ['a target of 4096 bytes', (root) => root.symlink(ascii('a'.repeat(4096)))],
    ['a negative size', (root) => root.file(false, -1n, ascii(''))],
    ['a size of 2^64', (root) => root.file(false, 2n ** 64n, ascii(''))],
    [
      'a root written twice',
      async (root) => {
        await root.symlink(ascii('t'))
        await root.symlink(ascii('t'))
      },
    ],
    [
      'a node written twice',
      async (root) => {
        const node = await (await root.directory()).entry(ascii('a'))
        await node.file(false, 0n, [])
        await node.directory()
      },
    ],
    [
      'a root directory left open',
      async (root) => {
        await root.directory()
        await root.finish()
      },
    ],
    [
      'a child directory left open by the next entry',
      async (root) => {
        const writer = await root.directory()
        await (await writer.entry(ascii('a'))).directory()
        await writer.entry(ascii('b'))
      },
    ],
    [
      'a child directory left open by close',
      async (root) => {
        const writer = await root.directory()
        await (await writer.entry(ascii('a'))).directory()
        await writer.close()
      },
    ],
    [
      'an entry without a node, then another',
      async (root) => {
        const writer = await root.directory()
        await writer.entry(ascii('a'))
        await writer.entry(ascii('b'))
      },
    ],
    [
      'an entry without a node, then close',
      async (root) => {
        const writer = await root.directory()
        await writer.entry(ascii('a'))
        await writer.close()
      },
    ],
    [
      'closing twice',
      async (root) => {
        const writer = await root.directory()
        await writer.close()
        await writer.close()
      },
    ],
    [
      'an entry after close',
      async (root) => {
        const writer = await root.directory()
        await writer.close()
        await writer.entry(ascii('a'))
      },
    ],
    ['finishing with no node', (root) => root.finish()],
    [
      'finishing twice',
      async (root) => {
        await root.symlink(ascii('t'))
        await root.finish()
        await root.finish()
      },
    ],
    ['two calls at a time', (root) => Promise.all([root.file(false, 1n, slow()), root.symlink(ascii('t'))])],
  ]

  test.each(rows)('%s', async (_what, step) => {
    const root = opened()
    const error = await failure(step(root))
    expect(error).toBeInstanceOf(NarError)
    expect(error).toMatchObject({ code: 'misuse' })
    for (const later of [root.symlink(ascii('t')), root.directory(), root.finish()]) {
      expect(await code(later)).toBe('misuse')
    }
  })

  test('depth: as the reader, and configurable', async () => {
    const descend = async (levels: number, maxDepth?: number) => {
      let node: NarNodeWriter = openNarWriter(new MemorySink(), maxDepth === undefined ? {} : { maxDepth })
      for (let level = 0; level < levels; level++) node = await (await node.directory()).entry(ascii('d'))
      await node.directory()
    }
    await descend(63)
    expect(await code(descend(64))).toBe('misuse')
    expect(await code(descend(2, 2))).toBe('misuse')
    await descend(200, 1000)
  })
})

describe('files', () => {
  test('09#64 a source one byte short or long', async () => {
    for (const [size, expected] of [
      [4n, 'unexpected-eof'],
      [2n, 'invalid-input'],
    ] as const) {
      for (const content of [ascii('abc'), [ascii('a'), ascii('bc')], generate('ab', 'c')]) {
        const root = opened()
        expect(await failure(root.file(false, size, content))).toMatchObject({
          name: 'NarError',
          code: expected,
        })
        expect(await code(root.finish())).toBe('misuse')
      }
    }
    expect(await code(opened().file(false, 0n, [ascii('a')]))).toBe('invalid-input')
    expect(await code(opened().file(false, 3n, generate('abc', '', 'd')))).toBe('invalid-input')
    expect(await code(opened().file(true, 1n, []))).toBe('unexpected-eof')
  })

  test('content in any pieces gives the same bytes', async () => {
    const content = Uint8Array.from({ length: 500_003 }, (_, index) => index * 31)
    const expected = sha256(encodeTree({ file: content, executable: true }))
    for (const step of [1000, 32_767, 32_768, 100_000, 500_003]) {
      const sink = new MemorySink()
      const root = openNarWriter(sink)
      const pieces = Array.from({ length: Math.ceil(content.length / step) }, (_, index) =>
        content.subarray(index * step, (index + 1) * step),
      )
      await root.file(true, BigInt(content.length), pieces)
      expect(await root.finish()).toBe(BigInt(sink.length))
      expect(sha256(sink.bytes())).toBe(expected)
    }
  })

  test('an error of the source passes through, and the source is released when we stop', async () => {
    const foo = new Error('foo')
    const root = opened()
    await expect(
      root.file(
        false,
        9n,
        (async function* () {
          yield ascii('abc')
          throw foo
        })(),
      ),
    ).rejects.toBe(foo)
    expect(await failure(root.finish())).toMatchObject({ code: 'misuse', cause: foo })
    let released = 0
    const endless = (async function* () {
      try {
        for (;;) yield ascii('abc')
      } finally {
        released++
      }
    })()
    expect(await code(opened().file(false, 7n, endless))).toBe('invalid-input')
    expect(released).toBe(1)
  })
})

describe('the sink', () => {
  const tree = directory(
    ['a', file('x'.repeat(100_000))],
    ['b', symlink('t')],
    ['c', file('y'.repeat(100_000))],
  )

  test('an error of the sink passes through and spoils the writer', async () => {
    const full = new Error('disk full')
    const root = openNarWriter({
      write() {
        throw full
      },
    })
    const writer = await root.directory()
    const node = await writer.entry(ascii('a'))
    await expect(node.file(false, 100_000n, new Uint8Array(100_000))).rejects.toBe(full)
    expect(await failure(writer.close())).toMatchObject({ code: 'misuse', cause: full })
  })

  test('writing waits: a slow reader holds the writer back', async () => {
    let produced = 0
    const stream = bytesFrom(async (sink) => {
      const root = openNarWriter(sink)
      await root.file(
        false,
        64n * 65_536n,
        (function* () {
          for (let turn = 0; turn < 64; turn++) {
            produced++
            yield new Uint8Array(65_536)
          }
        })(),
      )
      await root.finish()
    })
    let read = 0
    for await (const chunk of stream) {
      read += chunk.length
      expect(produced * 65_536 - read).toBeLessThan(300_000)
    }
    expect(read).toBe(64 * 65_536 + 112)
  })

  test('finish flushes, closes nothing, and counts', async () => {
    const calls: string[] = []
    const memory = new MemorySink()
    const root = openNarWriter({
      write: (bytes) => memory.write(bytes),
      flush: () => void calls.push('flush'),
      close: () => void calls.push('close'),
    })
    const writer = await root.directory()
    if (!('entries' in tree)) throw new Error('not a directory')
    for (const [name, node] of tree.entries) {
      const entry = await writer.entry(name)
      if ('file' in node) await entry.file(false, BigInt(node.file.length), node.file)
      if ('symlink' in node) await entry.symlink(node.symlink)
    }
    await writer.close()
    expect(await root.finish()).toBe(BigInt(encodeTree(tree).length))
    expect(toHex(memory.bytes())).toBe(toHex(encodeTree(tree)))
    expect(calls).toEqual(['flush'])
  })
})

async function* generate(...pieces: string[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield ascii(piece)
}

async function* slow(): AsyncGenerator<Uint8Array> {
  await new Promise<void>((resolve) => setImmediate(resolve))
  yield ascii('a')
}
