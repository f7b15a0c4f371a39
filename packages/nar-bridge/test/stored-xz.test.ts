import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { decompressed } from '@neve/castore-services/ingest/archive'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { storedXz, storedXzSize } from '../src/stored-xz.js'
import { programIsThere } from './private-nix.js'
import { collect } from './support.js'

async function* split(bytes: Uint8Array, length: number) {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length)
}

describe('storedXz', () => {
  it.skipIf(!programIsThere('xz')).each([0, 1, 3, 65_535, 65_536, 65_537, 3 * 65_536, 1_000_000])(
    '%i bytes are read by xz, and are as long as was said',
    async (size) => {
      const bytes = randomBytes(size)
      const file = await collect(storedXz(split(bytes, 70_001)))
      expect(BigInt(file.length)).toBe(storedXzSize(BigInt(size)))
      const { status, stdout } = spawnSync('xz', ['-dc'], { input: file, maxBuffer: 2 ** 24 })
      expect(status).toBe(0)
      expect(stdout.equals(bytes)).toBe(true)
    },
  )

  it('does not depend on how the bytes are split, and comes back', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 200_000 }),
        fc.integer({ min: 1000, max: 100_000 }),
        async (size, length) => {
          const bytes = randomBytes(size)
          const file = await collect(storedXz(split(bytes, length)))
          expect(file.equals(await collect(storedXz(split(bytes, size + 1))))).toBe(true)
          expect(BigInt(file.length)).toBe(storedXzSize(BigInt(size)))
          expect((await collect(decompressed(split(file, 5000)))).equals(bytes)).toBe(true)
        },
      ),
      { numRuns: 30 },
    )
  })
})
