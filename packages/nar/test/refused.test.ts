import { NarError } from '@neve/nar'
import { describe, expect, test } from 'vitest'
import {
  bytewise,
  directory,
  encodeNode,
  failure,
  file,
  hex,
  packet,
  raw,
  readTree,
  strict,
} from './archives.js'

const empty = encodeNode(file(''))
const entry = (name: string | Uint8Array, node: Uint8Array = empty) =>
  raw('entry', '(', 'name', packet(name), 'node', node, ')')
const archive = (...parts: (string | Uint8Array)[]) => raw('nix-archive-1', '(', 'type', ...parts)
const inDirectory = (...entries: Uint8Array[]) => archive('directory', ...entries, ')')
const patched = (bytes: Uint8Array, from: string, to: string) => {
  const text = Buffer.from(bytes).toString('latin1')
  expect(text).toContain(from)
  return Uint8Array.from(Buffer.from(text.replace(from, to), 'latin1'))
}

/** What is refused, and the byte at which it is noticed. Rows of spec 09 section 4.4 and what follows from 4.1. */
const rows: [what: string, bytes: Uint8Array, offset: number | undefined, code?: string][] = [
  ['unsorted entries', inDirectory(entry('b'), entry('a')), undefined],
  [
    'unsorted by bytes, sorted by UTF-16',
    inDirectory(entry(hex('f09f9880')), entry(hex('efbda1'))),
    undefined,
  ],
  ['a name before its own prefix', inDirectory(entry('ab'), entry('a')), undefined],
  ['duplicate entry', inDirectory(entry('a'), entry('a')), undefined],
  ['empty name', inDirectory(entry('')), 128],
  ['name .', inDirectory(entry('.')), 136],
  ['name ..', inDirectory(entry('..')), 136],
  ['name with /', inDirectory(entry('a/b')), 136],
  ['name /', inDirectory(entry('/')), 136],
  ['name with NUL', inDirectory(entry('a\0b')), 136],
  ['name of 256 bytes', inDirectory(entry('a'.repeat(256))), 128],
  ['target of 4096 bytes', archive('symlink', 'target', 'a'.repeat(4096), ')'), 88],
  ['empty target', archive('symlink', 'target', '', ')'), 88],
  ['target with NUL', archive('symlink', 'target', 'a\0b', ')'), 96],
  ['executable marker not empty', archive('regular', 'executable', 'x', 'contents', '', ')'), undefined],
  ['executable after contents', archive('regular', 'contents', '', 'executable', '', ')'), undefined],
  [
    'executable twice',
    archive('regular', 'executable', '', 'executable', '', 'contents', '', ')'),
    undefined,
  ],
  ['contents twice', archive('regular', 'contents', '', 'contents', '', ')'), undefined],
  ['regular without contents', archive('regular', ')'), undefined],
  ['symlink without target', archive('symlink', ')'), undefined],
  ['symlink with contents', archive('symlink', 'contents', 'a', ')'), undefined],
  ['directory with contents', archive('directory', 'contents', 'a', ')'), undefined],
  ['entry without node', inDirectory(raw('entry', '(', 'name', 'a', ')')), undefined],
  ['entry without name', inDirectory(raw('entry', '(', 'node', empty, ')')), undefined],
  ['empty entry', inDirectory(raw('entry', '(', ')')), undefined],
  ['node before name', inDirectory(raw('entry', '(', 'node', empty, 'name', 'a', ')')), undefined],
  ['name twice', inDirectory(raw('entry', '(', 'name', 'a', 'name', 'b', 'node', empty, ')')), undefined],
  ['node twice', inDirectory(raw('entry', '(', 'name', 'a', 'node', empty, 'node', empty, ')')), undefined],
  ['unknown node type', archive('fifo', ')'), 56],
  ['type missing', raw('nix-archive-1', '(', 'regular', 'contents', '', ')'), undefined],
  ['type twice', raw('nix-archive-1', '(', 'type', 'type', 'regular', 'contents', '', ')'), undefined],
  ['wrong magic', raw('nix-archive-2', encodeNode(file(''))), 20],
  ['no magic', encodeNode(file('')), 0],
  ['something else altogether', Uint8Array.from(Buffer.from('\x7fELF'.padEnd(200, '\0'))), 0],
  ['upper case', patched(archive('directory', ')'), 'directory', 'Directory'), 64],
  [
    'non-zero padding of contents',
    patched(archive('regular', 'contents', 'abc', ')'), 'abc\0', 'abc\x01'),
    99,
  ],
  ['non-zero padding of a name', patched(inDirectory(entry('abc')), 'abc\0\0', 'abc\0\x80'), 140],
  ['non-zero padding of a target', patched(archive('symlink', 'target', 'abc', ')'), 'abc\0', 'abc\x01'), 99],
  ['non-zero padding of a token', patched(archive('directory', ')'), 'directory\0', 'directory\x01'), 73],
  ['contents longer than announced', archive('regular', 'contents', packet('abcdefghi', 8), ')'), 104],
  ['contents shorter than announced', archive('regular', 'contents', packet('abcdefgh', 16), ')', ')'), 112],
  [
    'contents of 2^64-1 bytes',
    archive('regular', 'contents', hex('ff'.repeat(8)), 'x', ')'),
    undefined,
    'unexpected-eof',
  ],
  ['missing final ) of a file', archive('regular', 'contents', ''), undefined, 'unexpected-eof'],
  ['missing final ) of a directory', archive('directory', entry('a')), undefined, 'unexpected-eof'],
  [
    'missing ) of an entry',
    archive('directory', raw('entry', '(', 'name', 'a', 'node', empty), ')'),
    undefined,
    'unexpected-eof',
  ],
  ['nothing at all', new Uint8Array(0), 0, 'unexpected-eof'],
  ['the magic alone', raw('nix-archive-1'), 24, 'unexpected-eof'],
  ['a directory in a file', archive('regular', 'contents', '', encodeNode(directory()), ')'), undefined],
]

describe('09#57 refused archives', () => {
  test.each(rows)('%s', async (_what, bytes, offset, code = 'invalid-data') => {
    for (const chunks of [[bytes], bytewise(bytes)]) {
      const error = await failure(readTree(chunks))
      expect(error).toBeInstanceOf(NarError)
      expect(error).toMatchObject({ name: 'NarError', code })
      const { offset: found, expected, actual, message } = error as NarError
      if (offset !== undefined) expect(found).toBe(BigInt(offset))
      expect(found).toBeLessThanOrEqual(BigInt(bytes.length))
      expect(expected).toBeTruthy()
      expect(actual).toBeTruthy()
      expect(message).toMatch(/^[a-z]/)
    }
  })

  test('garbage behind the archive is left for the owner of the stream', async () => {
    const source = strict(Uint8Array.from([...archive('directory', ')'), 1, 2, 3]))
    expect(await readTree(source)).toEqual({ entries: [] })
    expect(source.buffered).toBe(3)
  })

  test('a wrong byte is reported although the rest of the token has not come', async () => {
    const magic = archive('directory', ')')
    for (const at of [0, 13, 30, 55, 57, 64, 79, 80, 88]) {
      const cut = magic.slice(0, at + 1)
      cut[at]! ^= 0x20
      const error = await failure(readTree(strict(...bytewise(cut))))
      expect(error, `byte ${at}`).toMatchObject({ code: 'invalid-data', offset: BigInt(at) })
    }
  })

  test('a bad name is refused although its node has not come', async () => {
    const bytes = archive('directory', raw('entry', '(', 'name', 'a/b'))
    expect(await failure(readTree(strict(bytes)))).toMatchObject({ code: 'invalid-data', actual: '"a/b"' })
  })
})
