import { ascii, directory, file, hex, symlink, type Tree } from './archives.js'

export interface Vector {
  id: string
  tree: Tree
  size: number
  sha256: string
  /** The archive in full, where the specification prints it. */
  bytes?: Uint8Array
}

const somewhere = symlink('/nix/store/somewhereelse')
const magic = `0d00000000000000 6e69782d61726368 6976652d31000000 0100000000000000 2800000000000000
0400000000000000 7479706500000000`

/** Spec 09 section 15.1. */
export const VECTORS: Vector[] = [
  {
    id: 'N-1',
    tree: file(''),
    size: 112,
    sha256: '77ac62e2629d8e45f624589c0c8bf99e24b3a722349bf1e79bc186008534e246',
    bytes: hex(`${magic} 0700000000000000 726567756c617200 0800000000000000
636f6e74656e7473 0000000000000000 0100000000000000 2900000000000000`),
  },
  {
    id: 'N-2',
    tree: directory(),
    size: 96,
    sha256: 'a50a5ab6d992f5598edd92105059fae9acfc192981e08bd88534c2167e92526a',
    bytes: hex(`${magic} 0900000000000000 6469726563746f72 7900000000000000
0100000000000000 2900000000000000`),
  },
  {
    id: 'N-3',
    tree: file('Hello World!'),
    size: 128,
    sha256: '03e7f63be30b065d78bcf615f5473545fdb4eb69aa416f43495b4e05cdfb8040',
    bytes: hex(`${magic} 0700000000000000 726567756c617200 0800000000000000
636f6e74656e7473 0c00000000000000 48656c6c6f20576f 726c642100000000 0100000000000000
2900000000000000`),
  },
  {
    id: 'N-4',
    tree: somewhere,
    size: 136,
    sha256: '097d397e9b5826384eaa16c457715d1c1a51670313ead0f58566e0b232539cf1',
    bytes: hex(`${magic} 0700000000000000 73796d6c696e6b00 0600000000000000
7461726765740000 1800000000000000 2f6e69782f73746f 72652f736f6d6577 68657265656c7365
0100000000000000 2900000000000000`),
  },
  {
    id: 'N-5',
    tree: file('', true),
    size: 144,
    sha256: '34e00b8592a6ad465851a46a67464e076102fd5106ca6cb33a2f15009d30d590',
  },
  {
    id: 'N-6',
    tree: directory(['.keep', file('')], ['aa', somewhere], ['keep', directory(['.keep', file('')])]),
    size: 840,
    sha256: 'ebd52279a8df024c9fd5718de4103bf5e760dc7f2cf49044ee7dea87ab16911a',
  },
  {
    id: 'N-7',
    tree: file(hex('ff')),
    size: 120,
    sha256: 'dc23b50a8f255fbbcf64d51ad35e639fae79d9c828088a27673428655d431dc8',
  },
  {
    id: 'N-8',
    tree: file('#!/bin/sh\necho hi\n', true),
    size: 168,
    sha256: '5e0accf02cedede5e4119ffa15e79e79a5fb1fb9bc43c3d434f33227a14477a0',
    bytes: hex(`${magic} 0700000000000000 726567756c617200 0a00000000000000
65786563757461626c65000000000000 0000000000000000 0800000000000000 636f6e74656e7473
1200000000000000 23212f62696e2f73680a6563686f2068690a000000000000 0100000000000000
2900000000000000`),
  },
  {
    id: 'N-9',
    tree: file('12345678'),
    size: 120,
    sha256: '22d63223426447e64aa20d76d506b3e062a2d242bb797536dbf3ee681be3f53c',
  },
  {
    id: 'N-10',
    tree: file('123456789'),
    size: 128,
    sha256: '01e23d2c0a14bfecbb8a82b3f11ca003d7322bcfec14c3a1b57168b445480e41',
  },
  {
    id: 'N-11',
    tree: directory(
      ['B', directory(['x', file('')])],
      ['_', file('')],
      ['a', directory(['f', file('x')])],
      ["a'", file('')],
      ['a-b', file('')],
      ['a.txt', file('')],
      ['ab', file('')],
      [hex('c3a4'), file(hex('c3a4'))],
    ),
    size: 1920,
    sha256: '0a6851ba8b65d7e15abf749ba8bd501f2ea109ff890d6f46160a055322bf997b',
  },
  {
    id: 'N-12',
    tree: directory([hex('efbda1'), file('')], [hex('f09f9880'), file('')], [hex('ff'), file('')]),
    size: 648,
    sha256: '24ce92aff4f67f9c761582adff7ce66ecd7bc47335281bab1ceb0412e4f18c9e',
  },
]

/** The reference's "complicated" archive. */
export const COMPLICATED = VECTORS.find(({ id }) => id === 'N-6')!
export const SOMEWHERE = ascii('/nix/store/somewhereelse')
