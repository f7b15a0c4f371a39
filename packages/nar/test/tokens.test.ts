import {
  NAR_TOKENS,
  narDirectorySize,
  narEntryOverhead,
  narEntrySize,
  narFileSize,
  narSymlinkSize,
} from '@neve/nar'
import { describe, expect, test } from 'vitest'
import { encodeTree, file, raw, type Tree, toHex } from './archives.js'
import { VECTORS } from './vectors.js'

describe('tokens', () => {
  const strings: Record<keyof typeof NAR_TOKENS, string[]> = {
    magic: ['nix-archive-1', '(', 'type'],
    symlink: ['symlink', 'target'],
    regular: ['regular', 'contents'],
    executable: ['regular', 'executable', '', 'contents'],
    directory: ['directory'],
    entry: ['entry', '(', 'name'],
    node: ['node', '(', 'type'],
    close: [')'],
  }
  const lengths = {
    magic: 56,
    symlink: 32,
    regular: 32,
    executable: 64,
    directory: 24,
    entry: 48,
    node: 48,
    close: 16,
  }

  test.each(Object.keys(strings) as (keyof typeof NAR_TOKENS)[])('09#50 %s', (name) => {
    expect(toHex(NAR_TOKENS[name])).toBe(toHex(raw(...strings[name])))
    expect(NAR_TOKENS[name]).toHaveLength(lengths[name])
  })
})

describe('sizes', () => {
  test('of files, executables, symlinks', () => {
    for (const length of [0, 1, 7, 8, 9, 255, 256, 4095]) {
      const content = new Uint8Array(length).fill(0x61)
      expect(narFileSize(BigInt(length), false)).toBe(BigInt(encodeTree({ file: content }).length))
      expect(narFileSize(BigInt(length), true)).toBe(
        BigInt(encodeTree({ file: content, executable: true }).length),
      )
      expect(narSymlinkSize(length)).toBe(BigInt(encodeTree({ symlink: content }).length))
    }
    expect(narFileSize(5n * 2n ** 60n, false)).toBe(5n * 2n ** 60n + 112n)
  })

  test.each(VECTORS)('$id: the archive sums up', ({ tree, size }) => {
    expect(sizeOf(tree)).toBe(BigInt(size))
  })

  test('what surrounds a node', () => {
    expect(narEntryOverhead(1)).toBe(narEntrySize(1, narFileSize(0n, false)) - 56n)
    const one = encodeTree({ entries: [[Uint8Array.of(0x61), file('x')]] })
    expect(narDirectorySize(narEntrySize(1, narFileSize(1n, false)))).toBe(BigInt(one.length))
  })
})

function sizeOf(tree: Tree): bigint {
  if ('symlink' in tree) return narSymlinkSize(tree.symlink.length)
  if ('file' in tree) return narFileSize(BigInt(tree.file.length), tree.executable ?? false)
  return narDirectorySize(
    tree.entries.reduce((sum, [name, node]) => sum + narEntrySize(name.length, sizeOf(node)), 0n),
  )
}
