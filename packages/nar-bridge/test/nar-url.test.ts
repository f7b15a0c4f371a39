import { B3Digest, type Node, SymlinkTarget } from '@neve/castore-model'
import { formatInfusedNar } from '@neve/store-pathinfo'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { narUrl, nodeText, parseNarUrl } from '../src/nar-url.js'

const nodes: fc.Arbitrary<Node> = fc.oneof(
  fc
    .record({
      digest: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      size: fc.bigInt(0n, 2n ** 60n),
      executable: fc.boolean(),
    })
    .map(({ digest, size, executable }): Node => {
      return { kind: 'file', digest: B3Digest.from(digest), size, executable }
    }),
  fc
    .uint8Array({ minLength: 1, maxLength: 200 })
    .filter((bytes) => !bytes.includes(0))
    .map((bytes): Node => ({ kind: 'symlink', target: SymlinkTarget.from(bytes) })),
)

describe('parseNarUrl', () => {
  it('reads what was written, in both forms', () => {
    fc.assert(
      fc.property(nodes, fc.bigInt(0n, 2n ** 64n - 1n), (node, narSize) => {
        expect(narUrl(nodeText(node), narSize, 'nar')).toBe(formatInfusedNar({ node, narSize }))
        expect(parseNarUrl(formatInfusedNar({ node, narSize }))).toEqual({ node, narSize, form: 'nar' })
        expect(parseNarUrl(narUrl(nodeText(node), narSize, 'zstd'))).toEqual({ node, narSize, form: 'zstd' })
      }),
    )
  })

  it('never throws, and gives nothing for what is no URL of a NAR', () => {
    const urls = fc.oneof(
      fc.string(),
      fc.string().map((text) => `nar/snix-castore/${text}`),
      fc.base64String().map((text) => `nar/tvix-castore/${text}?narsize=1`),
    )
    fc.assert(
      fc.property(urls, (url) => {
        const nar = parseNarUrl(url)
        if (typeof nar !== 'object') return
        expect(url).toMatch(/^nar\/(snix|tvix)-castore\/[A-Za-z0-9_-]+(\.nar\.zst)?\?narsize=\d{1,20}$/)
      }),
    )
  })
})
