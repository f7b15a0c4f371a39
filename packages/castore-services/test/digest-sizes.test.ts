import { createHash } from 'node:crypto'
import { DigestSet, DigestSizes } from '@neve/castore-services/gc'
import { expect, it } from 'vitest'

const digestOf = (number: number): Uint8Array => createHash('sha256').update(`${number}`).digest()

it('sizes of many digests are those that were said, and go with a set of them', () => {
  const sizes = new DigestSizes()
  const set = new DigestSet()
  const expected = new Map<number, number>()
  for (let i = 0; i < 20_000; i++) {
    const number = i % 15_000
    const size = (i * 7919) % 100_000
    sizes.add(digestOf(number), size)
    set.add(digestOf(number))
    expected.set(number, (expected.get(number) ?? 0) + size)
  }
  for (const [number, size] of expected) expect(sizes.get(digestOf(number))).toBe(size)
  expect(sizes.get(digestOf(15_000))).toBe(0)
  const total = [...expected.values()].reduce((sum, size) => sum + size, 0)
  expect(sizes.total).toBe(total)
  let found = 0
  for (const prefix of set.prefixes()) found += sizes.get(prefix)
  expect(found).toBe(total)
})

it('what is larger than can be kept is the most that can', () => {
  const sizes = new DigestSizes()
  sizes.add(digestOf(1), 2 ** 33)
  sizes.add(digestOf(1), 5)
  expect(sizes.get(digestOf(1))).toBe(2 ** 32 - 1)
  expect(sizes.total).toBe(2 ** 32 - 1)
})

it('a set takes in what another one has', () => {
  const [a, b] = [new DigestSet(), new DigestSet()]
  for (let i = 0; i < 3000; i++) (i < 2000 ? a : b).add(digestOf(i))
  for (let i = 1500; i < 2000; i++) b.add(digestOf(i))
  a.addAll(b)
  expect(a.size).toBe(3000)
  for (let i = 0; i < 3000; i++) expect(a.has(digestOf(i))).toBe(true)
  expect(a.has(digestOf(3000))).toBe(false)
})
