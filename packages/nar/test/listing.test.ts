import { NarError, NarListingEncoder } from '@neve/nar'
import { describe, expect, test } from 'vitest'

const bytes = (text: string) => new TextEncoder().encode(text)

function listing(steps: (encoder: NarListingEncoder) => void): { text: string; size: bigint } {
  let text = ''
  const encoder = new NarListingEncoder((piece) => {
    text += piece
  })
  steps(encoder)
  const size = encoder.finish()
  return { text, size }
}

describe('07#39 listings', () => {
  test('a symlink', () => {
    expect(listing((nar) => nar.symlink(bytes('/nix/store/somewhereelse')))).toEqual({
      text: '{"root":{"target":"/nix/store/somewhereelse","type":"symlink"},"version":1}',
      size: 136n,
    })
  })

  test('a file, executable or not', () => {
    expect(listing((nar) => nar.file(false, 12n))).toEqual({
      text: '{"root":{"narOffset":96,"size":12,"type":"regular"},"version":1}',
      size: 128n,
    })
    expect(listing((nar) => nar.file(true, 12n))).toEqual({
      text: '{"root":{"executable":true,"narOffset":128,"size":12,"type":"regular"},"version":1}',
      size: 160n,
    })
  })

  test('the tree "complicated"', () => {
    const { text, size } = listing((nar) => {
      nar.directoryStart()
      nar.entry(bytes('.keep'))
      nar.file(false, 0n)
      nar.entry(bytes('aa'))
      nar.symlink(bytes('/nix/store/somewhereelse'))
      nar.entry(bytes('keep'))
      nar.directoryStart()
      nar.entry(bytes('.keep'))
      nar.file(false, 0n)
      nar.directoryEnd()
      nar.directoryEnd()
    })
    expect(text).toBe(
      '{"root":{"entries":{".keep":{"narOffset":232,"size":0,"type":"regular"},"aa":{"target":"/nix/store/somewhereelse","type":"symlink"},"keep":{"entries":{".keep":{"narOffset":760,"size":0,"type":"regular"}},"type":"directory"}},"type":"directory"},"version":1}',
    )
    expect(size).toBe(840n)
  })

  test('sizes beyond 2^53 are exact', () => {
    const { text, size } = listing((nar) => {
      nar.directoryStart()
      nar.entry(bytes('a'))
      nar.file(false, 2n ** 60n + 1n)
      nar.entry(bytes('b'))
      nar.file(false, 1n)
      nar.directoryEnd()
    })
    expect(text).toContain(`"size":${2n ** 60n + 1n}`)
    // a: header 232 and content padded; end of a: 32; b: 48 + 16 + 48 + 32 + 8.
    expect(text).toContain(`"narOffset":${232n + 2n ** 60n + 8n + 32n + 152n},"size":1`)
    expect(size).toBe(232n + 2n ** 60n + 8n + 32n + 152n + 8n + 32n + 16n)
  })

  test('what is no UTF-8 is refused', () => {
    const name = Uint8Array.of(0x66, 0xff)
    const at = (steps: (nar: NarListingEncoder) => void): unknown => {
      try {
        listing(steps)
      } catch (error) {
        return error
      }
      return undefined
    }
    const symlink = at((nar) => nar.symlink(name))
    expect(symlink).toBeInstanceOf(NarError)
    expect(symlink).toMatchObject({ code: 'invalid-data', expected: 'UTF-8' })
    const entry = at((nar) => {
      nar.directoryStart()
      nar.entry(name)
    })
    expect(entry).toMatchObject({ code: 'invalid-data' })
  })
})
