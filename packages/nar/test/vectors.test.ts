import { NarError, readNarToEnd } from '@neve/nar'
import { ByteSource } from '@neve/nix-compat/wire'
import { describe, expect, test } from 'vitest'
import {
  bytewise,
  encodeTree,
  failure,
  hex,
  readTree,
  rest,
  sha256,
  strict,
  type Tree,
  toHex,
  writeTree,
} from './archives.js'
import { VECTORS } from './vectors.js'

describe.each(VECTORS)('$id', ({ id, tree, size, sha256: digest, bytes }) => {
  const archive = encodeTree(tree)

  test('09#62 the writer yields the bytes of the vector', async () => {
    const written = await writeTree(tree)
    expect(toHex(written)).toBe(toHex(archive))
    expect(written).toHaveLength(size)
    expect(sha256(written)).toBe(digest)
    if (bytes !== undefined) expect(toHex(written)).toBe(toHex(bytes))
  })

  test('09#61 writer after reader is the identity, and byte by byte the same', async () => {
    const read = await readTree(strict(archive))
    expect(read).toEqual(normal(tree))
    expect(await readTree(strict(...bytewise(archive)))).toEqual(read)
    expect(toHex(await writeTree(read))).toBe(toHex(archive))
  })

  test('09#58 what follows the archive stays in the source', async () => {
    const extra = hex('0102030405060708')
    for (const chunks of [
      [Uint8Array.from([...archive, ...extra])],
      bytewise(Uint8Array.from([...archive, ...extra])),
    ]) {
      const source = ByteSource.from(chunks)
      await readTree(source)
      expect(source.position).toBe(BigInt(size))
      expect(toHex(await rest(source))).toBe(toHex(extra))
    }
    const error = await failure(readNarToEnd([archive, extra]))
    expect(error).toBeInstanceOf(NarError)
    expect(error).toMatchObject({ code: 'invalid-data', offset: BigInt(size), expected: 'end of stream' })
    expect(await readNarToEnd(archive)).toBe(BigInt(size))
  })

  test('09#59 a cut at any length is unexpected-eof', async () => {
    for (let length = 0; length < archive.length; length++) {
      const cut = archive.subarray(0, length)
      for (const chunks of [[cut], pieces(cut)]) {
        const error = await failure(readTree(chunks))
        expect(error, `cut at ${length}`).toBeInstanceOf(NarError)
        expect(error, `cut at ${length}`).toMatchObject({ code: 'unexpected-eof', offset: BigInt(length) })
      }
    }
  })

  test('09#60 any flipped padding byte is invalid-data', async () => {
    const places = paddingPlaces(archive)
    if (id === 'N-3') expect(places.length).toBeGreaterThan(20)
    for (const place of places) {
      for (const bit of [0x01, 0x80]) {
        const flipped = archive.slice()
        flipped[place]! ^= bit
        for (const chunks of [[flipped], pieces(flipped)]) {
          const error = await failure(readTree(chunks))
          expect(error, `byte ${place}`).toMatchObject({ code: 'invalid-data', offset: BigInt(place) })
        }
      }
    }
  })

  test('any flipped byte is refused, or is another archive that reads and writes back as it is', async () => {
    for (let place = 0; place < archive.length; place++) {
      const flipped = archive.slice()
      flipped[place]! ^= 0x04
      const outcome = await readTree([flipped]).catch((error: unknown) => error)
      if (outcome instanceof Error) {
        expect(outcome, `byte ${place}`).toBeInstanceOf(NarError)
        expect(['invalid-data', 'unexpected-eof']).toContain((outcome as NarError).code)
      } else {
        expect(toHex(encodeTree(outcome as Tree)), `byte ${place}`).toBe(toHex(flipped))
      }
    }
  })
})

test('09#60 09#59 counts are not vacuous', () => {
  expect(VECTORS).toHaveLength(12)
  expect(VECTORS.map(({ tree }) => paddingPlaces(encodeTree(tree)).length).every((count) => count > 0)).toBe(
    true,
  )
})

/** Single bytes; of the longer archives 7 at a time, which still cuts every token at every place. */
function pieces(bytes: Uint8Array): Uint8Array[] {
  const step = bytes.length > 500 ? 7 : 1
  return Array.from({ length: Math.ceil(bytes.length / step) }, (_, index) =>
    bytes.subarray(index * step, (index + 1) * step),
  )
}

/** Every string of the archive with its position: an archive is nothing but strings. */
function strings(archive: Uint8Array): { start: number; length: number; token: boolean }[] {
  const view = Buffer.from(archive)
  const found: { start: number; length: number; token: boolean }[] = []
  let previous = ''
  for (let at = 0; at < view.length; ) {
    const length = Number(view.readBigUInt64LE(at))
    const token = !['name', 'target', 'contents'].includes(previous)
    found.push({ start: at + 8, length, token })
    previous = token ? view.toString('latin1', at + 8, at + 8 + length) : ''
    at += 8 + Math.ceil(length / 8) * 8
  }
  return found
}

function paddingPlaces(archive: Uint8Array): number[] {
  return strings(archive).flatMap(({ start, length }) =>
    Array.from({ length: (8 - (length % 8)) % 8 }, (_, index) => start + length + index),
  )
}

/** With `executable` spelled out, as the reader gives it. */
function normal(tree: Tree): Tree {
  if ('file' in tree) return { file: tree.file, executable: tree.executable ?? false }
  if ('symlink' in tree) return tree
  return { entries: tree.entries.map(([name, node]) => [name, normal(node)]) }
}
