import { createHash } from 'node:crypto'
import { NarEncoder, type NarEncoderOptions, NarError } from '@neve/nar'
import { concatBytes } from '@neve/nix-compat/wire'
import { describe, expect, test } from 'vitest'
import { ascii, encodeTree, file, type Tree, toHex } from './archives.js'
import { VECTORS } from './vectors.js'

function encode(encoder: NarEncoder, tree: Tree): void {
  if ('symlink' in tree) encoder.symlink(tree.symlink)
  else if ('file' in tree) {
    encoder.fileHeader(tree.executable ?? false, BigInt(tree.file.length))
    encoder.content(tree.file)
    encoder.fileEnd()
  } else {
    encoder.directoryStart()
    for (const [name, node] of tree.entries) {
      encoder.entry(name)
      encode(encoder, node)
      encoder.entryEnd()
    }
    encoder.directoryEnd()
  }
}

function encoded(tree: Tree, options?: NarEncoderOptions): Uint8Array {
  const chunks: Uint8Array[] = []
  const encoder = new NarEncoder(
    (chunk) => chunks.push(options?.reuseBuffer ? chunk.slice() : chunk),
    options,
  )
  encoder.start()
  encode(encoder, tree)
  const size = encoder.finish()
  const joined = concatBytes(chunks)
  expect(size).toBe(BigInt(joined.length))
  expect(encoder.bytesWritten).toBe(size)
  return joined
}

const wide: Tree = {
  entries: Array.from({ length: 2000 }, (_, index): [Uint8Array, Tree] => [
    ascii(`entry-${index.toString().padStart(5, '0')}`),
    { file: new Uint8Array((index * 37) % 40_000).fill(index), executable: index % 3 === 0 },
  ]),
}

describe('encoder', () => {
  test.each(VECTORS)('$id', ({ tree }) => {
    for (const options of [{}, { reuseBuffer: true }]) {
      expect(toHex(encoded(tree, options))).toBe(toHex(encodeTree(tree)))
    }
  })

  test('a name may be overwritten once it was given, be it a Buffer', () => {
    const encoder = new NarEncoder(() => {})
    encoder.start()
    encoder.directoryStart()
    const name = Buffer.from('b')
    encoder.entry(name)
    encode(encoder, { symlink: ascii('x') })
    encoder.entryEnd()
    name.write('a')
    expect(() => encoder.entry(name)).toThrow(/entry order/)
  })

  test('a wide tree, with any buffer, owned or reused', () => {
    const expected = encodeTree(wide)
    for (const bufferSize of [1, 16_384, 65_536, 1 << 20]) {
      for (const reuseBuffer of [false, true]) {
        expect(Buffer.compare(encoded(wide, { bufferSize, reuseBuffer }), expected)).toBe(0)
      }
    }
  })

  test('chunks come in good sizes: full buffers, or large content as it is', () => {
    const content = new Uint8Array(100_000)
    const chunks: Uint8Array[] = []
    const encoder = new NarEncoder((chunk) => chunks.push(chunk))
    encoder.start()
    encoder.fileHeader(false, 100_010n)
    encoder.content(content)
    encoder.content(content.subarray(0, 10))
    encoder.fileEnd()
    expect(encoder.remaining).toBe(0n)
    encoder.finish()
    expect(chunks.map(({ length }) => length)).toEqual([96, 100_000, 32])
    expect(chunks[1]).toBe(content)
  })

  test('content that goes past the encoder is accounted for', () => {
    const tree = { entries: [[ascii('a'), file('0123456789')]] } satisfies Tree
    const hash = createHash('sha256')
    const encoder = new NarEncoder((chunk) => hash.update(chunk), { reuseBuffer: true })
    encoder.start()
    encoder.directoryStart()
    encoder.entry(ascii('a'))
    encoder.fileHeader(false, 10n)
    encoder.content(ascii('012'))
    encoder.external(7n)
    hash.update('3456789')
    encoder.fileEnd()
    encoder.entryEnd()
    encoder.directoryEnd()
    expect(encoder.finish()).toBe(BigInt(encodeTree(tree).length))
    expect(hash.digest('hex')).toBe(createHash('sha256').update(encodeTree(tree)).digest('hex'))
  })

  test('flushing many times does not allocate a buffer each', () => {
    const chunks: Uint8Array[] = []
    const encoder = new NarEncoder((chunk) => chunks.push(chunk))
    encoder.start()
    encoder.directoryStart()
    for (let index = 0; index < 400; index++) {
      encoder.entry(ascii(`n${1000 + index}`))
      encoder.symlink(ascii('t'))
      encoder.entryEnd()
      encoder.flush()
      encoder.flush()
    }
    encoder.directoryEnd()
    encoder.finish()
    expect(chunks).toHaveLength(401)
    expect(new Set(chunks.map(({ buffer }) => buffer)).size).toBe(1)
    expect(chunks.every(({ length }) => length > 0)).toBe(true)
  })

  test("the name last written is the encoder's own copy", () => {
    const encoder = new NarEncoder(() => {})
    const name = ascii('b')
    encoder.start()
    encoder.directoryStart()
    encoder.entry(name)
    encoder.symlink(name)
    encoder.entryEnd()
    name[0] = 0x61
    expect(() => encoder.entry(name)).toThrow(expect.objectContaining({ code: 'misuse' }))
  })

  const steps: Record<string, (encoder: NarEncoder) => void> = {
    start: (encoder) => encoder.start(),
    symlink: (encoder) => encoder.symlink(ascii('t')),
    file: (encoder) => encoder.fileHeader(false, 1n),
    content: (encoder) => encoder.content(ascii('x')),
    external: (encoder) => encoder.external(1n),
    fileEnd: (encoder) => encoder.fileEnd(),
    directory: (encoder) => encoder.directoryStart(),
    entry: (encoder) => encoder.entry(ascii('n')),
    entryEnd: (encoder) => encoder.entryEnd(),
    directoryEnd: (encoder) => encoder.directoryEnd(),
    finish: (encoder) => encoder.finish(),
  }
  const states: [before: string[], allowed: string[]][] = [
    [[], ['start']],
    [['start'], ['symlink', 'file', 'directory']],
    [['start', 'symlink'], ['finish']],
    [['start', 'symlink', 'finish'], []],
    [
      ['start', 'file'],
      ['content', 'external'],
    ],
    [['start', 'file', 'content'], ['fileEnd']],
    [
      ['start', 'directory'],
      ['entry', 'directoryEnd'],
    ],
    [
      ['start', 'directory', 'entry'],
      ['symlink', 'file', 'directory'],
    ],
    [['start', 'directory', 'entry', 'symlink'], ['entryEnd']],
    [['start', 'directory', 'entry', 'directory', 'directoryEnd'], ['entryEnd']],
    [['start', 'directory', 'entry', 'symlink', 'entryEnd'], ['directoryEnd']],
    [['start', 'directory', 'directoryEnd'], ['finish']],
  ]

  test.each(states)('09#63 after %j only %j', (before, allowed) => {
    for (const [name, step] of Object.entries(steps)) {
      const encoder = new NarEncoder(() => {})
      for (const earlier of before) steps[earlier]!(encoder)
      if (allowed.includes(name)) {
        step(encoder)
        continue
      }
      expect(() => step(encoder), name).toThrow(NarError)
      for (const later of Object.values(steps)) {
        expect(() => later(encoder)).toThrow(expect.objectContaining({ code: 'misuse' }))
      }
    }
  })

  test('09#64 content short or long', () => {
    const start = () => {
      const encoder = new NarEncoder(() => {})
      encoder.start()
      encoder.fileHeader(false, 2n)
      encoder.content(ascii('a'))
      return encoder
    }
    expect(() => start().fileEnd()).toThrow(expect.objectContaining({ code: 'unexpected-eof' }))
    expect(() => start().content(ascii('bc'))).toThrow(expect.objectContaining({ code: 'invalid-input' }))
    expect(() => start().external(2n)).toThrow(expect.objectContaining({ code: 'invalid-input' }))
    expect(() => start().external(-1n)).toThrow(expect.objectContaining({ code: 'invalid-input' }))
  })
})
