import { createCipheriv } from 'node:crypto'
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { hex, temporaryFolder } from './support.js'

/** One tree of spec 09 section 15.1. */
export interface NarVector {
  readonly id: string
  readonly size: number
  readonly sha256: string
  /** Makes it at a path where nothing is. */
  readonly make: (path: string) => void
}

const file =
  (content: string | Uint8Array, mode = 0o644) =>
  (path: string) => {
    writeFileSync(path, content)
    chmodSync(path, mode)
  }

const below = (folder: string, name: string): Buffer => Buffer.concat([Buffer.from(`${folder}/`), hex(name)])

function folder(make: (path: string) => void): (path: string) => void {
  return (path) => {
    mkdirSync(path)
    make(path)
  }
}

export const makeComplicated = folder((path) => {
  writeFileSync(join(path, '.keep'), '')
  symlinkSync('/nix/store/somewhereelse', join(path, 'aa'))
  mkdirSync(join(path, 'keep'))
  writeFileSync(join(path, 'keep', '.keep'), '')
})

export const NAR_VECTORS: readonly NarVector[] = [
  ['N-1', 112, '77ac62e2629d8e45f624589c0c8bf99e24b3a722349bf1e79bc186008534e246', file('')],
  ['N-2', 96, 'a50a5ab6d992f5598edd92105059fae9acfc192981e08bd88534c2167e92526a', folder(() => {})],
  ['N-3', 128, '03e7f63be30b065d78bcf615f5473545fdb4eb69aa416f43495b4e05cdfb8040', file('Hello World!')],
  [
    'N-4',
    136,
    '097d397e9b5826384eaa16c457715d1c1a51670313ead0f58566e0b232539cf1',
    (path: string) => symlinkSync('/nix/store/somewhereelse', path),
  ],
  ['N-5', 144, '34e00b8592a6ad465851a46a67464e076102fd5106ca6cb33a2f15009d30d590', file('', 0o755)],
  ['N-6', 840, 'ebd52279a8df024c9fd5718de4103bf5e760dc7f2cf49044ee7dea87ab16911a', makeComplicated],
  ['N-7', 120, 'dc23b50a8f255fbbcf64d51ad35e639fae79d9c828088a27673428655d431dc8', file(hex('ff'))],
  [
    'N-8',
    168,
    '5e0accf02cedede5e4119ffa15e79e79a5fb1fb9bc43c3d434f33227a14477a0',
    file('#!/bin/sh\necho hi\n', 0o755),
  ],
  ['N-9', 120, '22d63223426447e64aa20d76d506b3e062a2d242bb797536dbf3ee681be3f53c', file('12345678')],
  ['N-10', 128, '01e23d2c0a14bfecbb8a82b3f11ca003d7322bcfec14c3a1b57168b445480e41', file('123456789')],
  [
    'N-11',
    1920,
    '0a6851ba8b65d7e15abf749ba8bd501f2ea109ff890d6f46160a055322bf997b',
    folder((path) => {
      mkdirSync(join(path, 'B'))
      mkdirSync(join(path, 'a'))
      for (const name of ['B/x', '_', "a'", 'a-b', 'a.txt', 'ab']) writeFileSync(join(path, name), '')
      writeFileSync(join(path, 'a', 'f'), 'x')
      writeFileSync(join(path, 'ä'), 'ä')
    }),
  ],
  [
    'N-12',
    648,
    '24ce92aff4f67f9c761582adff7ce66ecd7bc47335281bab1ceb0412e4f18c9e',
    folder((path) => {
      for (const name of ['efbda1', 'f09f9880', 'ff']) writeFileSync(below(path, name), '')
    }),
  ],
].map(([id, size, sha256, make]) => ({ id, size, sha256, make }) as NarVector)

/** Numbers that look random and are the same in every run. */
export function* numbers(seed: number): Generator<number, never> {
  for (let state = seed >>> 0; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    yield state >>> 8
  }
}

/** Makes the tree of a vector under a name. */
export function makeVector(id: string, name: string): string {
  const path = join(temporaryFolder(), name)
  NAR_VECTORS.find((vector) => vector.id === id)!.make(path)
  return path
}

/** Bytes that no compression makes smaller, the same in every run. */
export function noise(length: number, seed = 1): Buffer {
  const key = Buffer.alloc(16)
  key.writeUInt32LE(seed)
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length))
}

/** A tree with everything in it: names of any bytes, all kinds, all sizes. */
export function makeRandomTree(seed: number, entries = 120): string {
  const root = join(temporaryFolder(), 'random-tree')
  const random = numbers(seed)
  const below = (limit: number): number => random.next().value % limit
  const contents = noise(3_000_000, seed)
  let left = entries
  const fill = (folder: Buffer, depth: number): void => {
    mkdirSync(folder)
    for (let i = below(12); i >= 0 && left > 0; i--, left--) {
      const name = Buffer.from(contents.subarray(left * 7, left * 7 + 1 + below(30)))
      for (const [at, byte] of name.entries()) if (byte === 0 || byte === 0x2f) name[at] = 0x78
      const path = Buffer.concat([folder, Buffer.from('/'), Buffer.from(`${i}`), name])
      const kind = below(10)
      if (kind < 2 && depth < 12) fill(path, depth + 1)
      else if (kind === 2) symlinkSync(Buffer.concat([Buffer.from('../'), name]), path)
      else {
        const size =
          below(30) === 0
            ? 1_100_000 + below(1_500_000)
            : [0, 1, 7, 8, 9, 100, 5000, 131072, 140_000][below(9)]!
        writeFileSync(path, contents.subarray(0, size))
        chmodSync(path, below(3) === 0 ? 0o755 : 0o640)
      }
    }
  }
  const top = Buffer.from(root)
  mkdirSync(top)
  for (let i = 0; left > 0; i++) fill(Buffer.concat([top, Buffer.from(`/top ${i}`)]), 1)
  return root
}
