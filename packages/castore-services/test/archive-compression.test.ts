import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { ArchiveError, decompressed } from '@neve/castore-services/ingest/archive'
import { describe, expect, it } from 'vitest'
import { COMPLICATED } from '../src/contract/directory-fixtures.js'
import { SeededRandom } from '../src/contract/random.js'
import { failureOf, ingest, pieces } from './tar-builder.js'

/** Spec 06 section 5.4. */
const VECTORS = {
  gzip: `H4sIAAAAAAACA+2VwQ7CIAyGeRSeQGCU8TwEm7i4yQIYfXzR06InEjtj0u/S3prmS//GtKzzFEPFoxJE6IZ37lUb7/WzNwa8EdKJHbiWGnIb/40lt8v9CXHj
    /3BGXIn8jwAd/gfQIKRm/7v6D4Hw/r3v8D8674Qc1GW6q1JTRlXSgrcTZsS5IPsn8f88f0Xlvyv/BzCO8/8n/gmeQH/+W2s15z/DMAwlDwrs+rIADgAA`,
  bzip2: `QlpoOTFBWSZTWX8QJtIAANJfkMiAQAH/hABQlABub97ABEAACDAAuAw0MmQMjEGJk0NMGGhkyBkYgxMmhpgSKmJkp6ninlHqbRGgyep6n6pajb6K
    cnjJuYVB0AFlGWD7ItRZJvSAjARNFAExJNHgePs2GeXE0ZnnYkBchiQG23SzpJHNDQLTSgawsvgXjhExOZG0nZqWEbiMJyiQYBt6bo6o+UVqHJHHWaH3
    CKO+9f1HG5kdkU/hQwzRjIL0aInC+lUO5FqHUqyevqg/xdyRThQkH8QJtIA=`,
  xz: `/Td6WFoAAAFpIt42AgAhARwAAAAQz1jM4A3/AJhdADGbyfP2XkxSIk4MJNOk0lBq4F40aHffwgD2ktYCTeSPf68AdI0JbdjE1Jyo1b6Ncz9yrFP7NPoT
    HasmiEAazCYKWNUXCsfe2jEg07u3/Ur7UbIRI4AzOQfObl5VI3uC1AolMs7d/4MphNBkV+EuLs8g0PbsWrhuDmQ85NXAak8zx3mJQgAHKj4ICmOhDe9w
    rTGvGofOyVdTAArs+rIAAbABgBwAADcCmhw+MA2LAgAAAAABWVo=`,
} as const
const vector = (name: keyof typeof VECTORS): Buffer => Buffer.from(VECTORS[name], 'base64')
const ARCHIVE_SHA256 = '87742f7e3b83a92304ab8e15eda0e19b186e026a9c7cbcf047a54bf05a3f74fe'

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

async function plain(bytes: Uint8Array, length = 65_536, maxSize?: number): Promise<Buffer> {
  const out: Buffer[] = []
  for await (const piece of decompressed(pieces(bytes, length), { maxSize })) out.push(Buffer.from(piece))
  return Buffer.concat(out)
}

const run = (program: string, input: Uint8Array, ...args: string[]): Buffer =>
  execFileSync(program, ['-c', ...args], { input, maxBuffer: 2 ** 30, stdio: ['pipe', 'pipe', 'ignore'] })

function missing(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { input: '', stdio: ['pipe', 'ignore', 'ignore'] })
    return false
  } catch {
    return true
  }
}

/** Text that compresses, then noise that does not: 1.6 MB. */
const random = new SeededRandom(7)
const CONTENT = Buffer.concat([
  ...Array.from({ length: 3000 }, (_, i) => Buffer.from(`line ${i}: ${i * i} ${'ab'.repeat(i % 97)}\n`)),
  Buffer.from(random.bytes(600_000)),
  Buffer.alloc(700_000, 'runs'),
  Buffer.alloc(300_000, 0),
])

const PROGRAMS = ['gzip', 'bzip2', 'xz', 'zstd'] as const

describe('vectors', () => {
  it.each(['gzip', 'bzip2', 'xz'] as const)(
    'DEC-1 DEC-2 DEC-3 an archive compressed with %s',
    async (name) => {
      expect(sha256(await plain(vector(name)))).toBe(ARCHIVE_SHA256)
      expect((await ingest(vector(name))).node).toEqual(COMPLICATED.toNode())
    },
  )

  it('the same archive plain, and in zstd', async () => {
    const archive = await plain(vector('gzip'))
    expect(archive).toHaveLength(3584)
    expect((await ingest(archive)).node).toEqual(COMPLICATED.toNode())
    // Raw blocks, no checksum: written by hand, so that no zstd is needed.
    const frame = Buffer.concat([
      Buffer.from('28b52ffd', 'hex'),
      Buffer.from([0x60, 3584 & 0xff, (3584 - 256) >> 8]),
      Buffer.from([((3584 << 3) | 1) & 0xff, (3584 << 3) >> 8, (3584 << 3) >> 16]),
      archive,
    ])
    expect(sha256(await plain(frame))).toBe(ARCHIVE_SHA256)
    // A frame that is to be skipped: its magic, three bytes long, and these.
    const skippable = Buffer.from('5a2a4d1803000000616263', 'hex')
    expect(sha256(await plain(Buffer.concat([skippable, frame, skippable])))).toBe(ARCHIVE_SHA256)
    expect((await ingest(Buffer.concat([skippable, frame]))).node).toEqual(COMPLICATED.toNode())
  })

  it.each([1, 2, 3, 5, 6, 7, 100])('5.4 the first bytes are looked at in pieces of %i', async (length) => {
    for (const name of ['gzip', 'bzip2', 'xz'] as const) {
      expect(sha256(await plain(vector(name), length))).toBe(ARCHIVE_SHA256)
    }
  })

  it('5.4 streams shorter than what is looked at come out as they are', async () => {
    for (const bytes of ['', 'B', 'BZ', '\x1f', '\xfd7zXZ', '\x28\xb5\x2f', 'hello']) {
      const short = Buffer.from(bytes, 'latin1')
      expect(await plain(short)).toEqual(short)
      expect(await plain(short, 1)).toEqual(short)
    }
    expect(await failureOf(ingest(Buffer.alloc(0)))).toMatchObject({ code: 'top-level' })
  })

  it('nothing but the start of a compressed form is truncated', async () => {
    for (const start of ['1f8b', '425a68', '425a6839', 'fd377a585a00', '28b52ffd', '502a4d18']) {
      const error = await failureOf(plain(Buffer.from(start, 'hex')))
      expect(error).toBeInstanceOf(ArchiveError)
      expect(error).toMatchObject({ code: 'compressed-truncated' })
    }
  })
})

describe.each(PROGRAMS)('%s', (program) => {
  const lacks = missing(program)
  const required = process.env['NEVE_TEST_REQUIRE'] === 'all'
  const compressed = lacks ? Buffer.alloc(0) : run(program, CONTENT)

  it('the program is there, where it is required', ({ skip }) => {
    if (lacks && !required) skip(`${program} is not installed`)
    expect(lacks).toBe(false)
  })

  it.skipIf(lacks)('expands what the program compressed, in pieces of any length', async () => {
    for (const length of [65_536, 1000]) expect((await plain(compressed, length)).equals(CONTENT)).toBe(true)
    expect((await plain(run(program, CONTENT, '-1'))).equals(CONTENT)).toBe(true)
    expect(await plain(run(program, Buffer.alloc(0)))).toHaveLength(0)
  })

  it.skipIf(lacks)('concatenated members, streams or frames are one stream', async () => {
    const [a, b] = [run(program, Buffer.from('hello ')), run(program, Buffer.from('world'))]
    const empty = run(program, Buffer.alloc(0))
    for (const length of [1, 9, 65_536]) {
      expect((await plain(Buffer.concat([a, empty, b]), length)).toString()).toBe('hello world')
    }
    expect(
      (await plain(Buffer.concat([compressed, compressed]))).equals(Buffer.concat([CONTENT, CONTENT])),
    ).toBe(true)
  })

  it.skipIf(lacks)('something else behind the end is refused', async () => {
    for (const garbage of [
      'garbage',
      'g',
      'another text that is longer than any header of a compressed form',
    ]) {
      const error = await failureOf(
        plain(Buffer.concat([run(program, CONTENT.subarray(0, 1000)), Buffer.from(garbage)])),
      )
      expect(error).toBeInstanceOf(ArchiveError)
      expect(['compressed-data', 'compressed-truncated']).toContain(error.code)
    }
  })

  it.skipIf(lacks)('what is cut short is refused, wherever the cut is', async () => {
    const whole = run(program, CONTENT.subarray(0, 5000))
    for (
      let length = 6;
      length < whole.length;
      length += length < 40 || length > whole.length - 40 ? 1 : 37
    ) {
      const error = await failureOf(plain(whole.subarray(0, length)))
      expect(error, `cut at ${length} of ${whole.length}`).toBeInstanceOf(ArchiveError)
      expect(error, `cut at ${length} of ${whole.length}`).toMatchObject({ code: 'compressed-truncated' })
    }
  })

  it.skipIf(lacks)('a flipped bit never gives other bytes without an error', async () => {
    // zstd alone has no checksum unless asked for.
    const content = CONTENT.subarray(80_000, 83_000)
    const whole = program === 'zstd' ? run(program, content, '--check') : run(program, content)
    let refused = 0
    let tried = 0
    for (let at = 6; at < whole.length; at += 5, tried++) {
      const damaged = Buffer.from(whole)
      damaged[at]! ^= 1 << (at % 8)
      const outcome = await plain(damaged, 65_536, 2 ** 22).catch((error: unknown) => error)
      if (outcome instanceof Error) {
        expect(outcome, `byte ${at}`).toBeInstanceOf(ArchiveError)
        refused++
      } else expect((outcome as Buffer).equals(content), `byte ${at}`).toBe(true)
    }
    expect(refused).toBeGreaterThan(tried * 0.9)
  })

  it.skipIf(lacks)('is stopped at the limit of bytes', async () => {
    const bomb = run(program, Buffer.alloc(10_000_000))
    expect(await failureOf(plain(bomb, 65_536, 1_000_000))).toMatchObject({
      name: 'ArchiveError',
      code: 'limit',
      limit: 'maxSize',
    })
    expect((await plain(bomb, 65_536, 10_000_000)).length).toBe(10_000_000)
  })

  it.skipIf(lacks)('a reader that stops closes the source', async () => {
    let closed = false
    async function* source() {
      try {
        for (;;) yield* pieces(compressed, 10_000)
      } finally {
        closed = true
      }
    }
    for await (const piece of decompressed(source())) {
      expect(piece.length).toBeGreaterThan(0)
      break
    }
    // The decoder may still be waiting for a piece when it is told to stop.
    await expect.poll(() => closed).toBe(true)
  })

  it.skipIf(lacks)('many run beside one another', async () => {
    const all = await Promise.all(Array.from({ length: 6 }, () => plain(compressed, 50_000)))
    for (const bytes of all) expect(bytes.equals(CONTENT)).toBe(true)
  })

  it.skipIf(lacks)(
    'a source that fails is told as itself, and one that is stuck can be cancelled',
    async () => {
      async function* failing() {
        yield compressed.subarray(0, 20_000)
        throw new Error('the disk is gone')
      }
      const drain = async (source: AsyncIterable<Uint8Array>) => {
        for await (const _ of source);
      }
      expect(await failureOf(drain(decompressed(failing())))).toMatchObject({
        code: 'source',
        message: 'cannot read the archive: the disk is gone',
      })
      const controller = new AbortController()
      async function* stuck() {
        yield compressed.subarray(0, 20_000)
        queueMicrotask(() => setImmediate(() => controller.abort(new Error('enough'))))
        await new Promise(() => {})
      }
      const error = await failureOf(drain(decompressed(stuck(), { signal: controller.signal })))
      expect(error.message).toBe('enough')
    },
  )
})

describe('what the programs can, beyond their defaults', () => {
  it.skipIf(missing('xz'))('xz with every checksum, with filters for machine code, and padded', async () => {
    const code = CONTENT.subarray(0, 50_000)
    for (const args of [
      ['--check=none'],
      ['--check=crc32'],
      ['--check=sha256'],
      ['--x86', '--lzma2'],
      ['--delta', '--lzma2'],
      ['-9e'],
    ]) {
      expect((await plain(run('xz', code, ...args))).equals(code), args.join(' ')).toBe(true)
    }
    const one = run('xz', code)
    expect((await plain(Buffer.concat([one, Buffer.alloc(8), one, Buffer.alloc(4)]))).length).toBe(100_000)
  })

  it.skipIf(missing('bzip2'))('bzip2 with every size of blocks, and runs of every length', async () => {
    const runs = Buffer.concat(Array.from({ length: 600 }, (_, i) => Buffer.alloc(i, i % 3)))
    for (const level of ['-1', '-5', '-9']) {
      expect((await plain(run('bzip2', CONTENT, level))).equals(CONTENT)).toBe(true)
      expect((await plain(run('bzip2', runs, level))).equals(runs)).toBe(true)
    }
  })

  it('gzip with a name and zeros behind the end', async () => {
    expect((await plain(Buffer.concat([gzipSync('hello'), Buffer.alloc(1000)]))).toString()).toBe('hello')
  })

  it.skipIf(missing('zstd'))('zstd refuses windows that need more memory than is granted', async () => {
    const content = Buffer.alloc(1000, 'x')
    const far = run('zstd', content, '--long=30')
    expect((await plain(run('zstd', content, '--long=27'))).equals(content)).toBe(true)
    expect(await failureOf(plain(far))).toMatchObject({ code: 'compression-unsupported' })
  })
})
