import { NaiveSeeker } from '@neve/castore-services'
import { describe, expect, it } from 'vitest'

async function* inPieces(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

const THREE = Uint8Array.from({ length: 6144 }, (_, index) => index >> 11)

describe('NaiveSeeker', () => {
  it('02#20 skips most of a stream', async () => {
    const seeker = new NaiveSeeker(inPieces(new Uint8Array(4096), 1000))
    expect(await seeker.seek(4000n)).toBe(4000n)
    expect(await seeker.read(1000)).toHaveLength(96)
    expect(await seeker.read(1000)).toHaveLength(0)
  })

  it.each([1, 7, 1024, 10_000])('02#21 reads and skips in turn, from pieces of %d bytes', async (size) => {
    const seeker = new NaiveSeeker(inPieces(THREE, size))
    expect(await seeker.read(1024)).toEqual(new Uint8Array(1024))
    expect(await seeker.seek(1024n, 'current')).toBe(2048n)
    expect(await seeker.read(1024)).toEqual(new Uint8Array(1024).fill(1))
    expect(await seeker.seek(4096n)).toBe(4096n)
    expect(await seeker.read(1024)).toEqual(new Uint8Array(1024).fill(2))
  })

  it('refuses to go back', async () => {
    const seeker = new NaiveSeeker(inPieces(THREE, 100))
    await seeker.read(10)
    await expect(seeker.seek(9n)).rejects.toMatchObject({ code: 'unsupported' })
    await expect(seeker.seek(-1n, 'current')).rejects.toMatchObject({ code: 'unsupported' })
    expect(await seeker.seek(10n)).toBe(10n)
  })

  it('refuses to skip beyond the end', async () => {
    const seeker = new NaiveSeeker(inPieces(THREE, 100))
    expect(await seeker.seek(6144n)).toBe(6144n)
    await expect(seeker.seek(1n, 'current')).rejects.toMatchObject({ code: 'invalid-input' })
  })

  it('passes on what the source throws while skipping', async () => {
    const failure = new Error('the source')
    async function* failing() {
      yield new Uint8Array(10)
      throw failure
    }
    await expect(new NaiveSeeker(failing()).seek(11n)).rejects.toBe(failure)
  })

  it('closes the source', async () => {
    let closed = false
    async function* source() {
      try {
        yield THREE
      } finally {
        closed = true
      }
    }
    {
      await using seeker = new NaiveSeeker(source())
      await seeker.read(1)
    }
    expect(closed).toBe(true)
  })
})
