import { BlobCursor, MemoryBlobReader } from '@neve/castore-services'
import { describe, expect, it } from 'vitest'

const cursorOf = (length: number) =>
  new BlobCursor(new MemoryBlobReader(Uint8Array.from({ length }, (_, index) => index)))

describe('BlobCursor', () => {
  it.each([
    [-1n, 'start'],
    [-6n, 'current'],
    [-11n, 'end'],
    [2n ** 64n, 'start'],
    [2n ** 64n - 1n, 'current'],
    [1n, 'end'],
    [11n, 'start'],
    [6n, 'current'],
  ] as const)('refuses to seek by %s from the %s, and stays', (offset, from) => {
    const cursor = cursorOf(10)
    cursor.seek(5n)
    expect(() => cursor.seek(offset, from)).toThrow(expect.objectContaining({ code: 'invalid-input' }))
    expect(cursor.position).toBe(5n)
  })

  it('tells over- and underflow from a target after the end', () => {
    const cursor = cursorOf(10)
    expect(() => cursor.seek(-1n)).toThrow('over/underflow while seeking')
    expect(() => cursor.seek(11n)).toThrow('seeked beyond EOF')
  })

  it('does not move for a read that fails', async () => {
    const cursor = cursorOf(10)
    cursor.seek(5n)
    await expect(cursor.read(-1)).rejects.toMatchObject({ code: 'invalid-input' })
    expect(cursor.position).toBe(5n)
    expect(await cursor.read(3)).toEqual(Uint8Array.of(5, 6, 7))
    expect(cursor.position).toBe(8n)
    expect(cursor.size).toBe(10n)
  })
})
