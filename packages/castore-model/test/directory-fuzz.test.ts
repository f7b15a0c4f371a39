import {
  CastoreModelError,
  Directory,
  decodeAnonymousNode,
  decodeNamedNode,
  directoryMessageSize,
  encodeNode,
  equalNodes,
  parseDirectoryMessage,
} from '@neve/castore-model'
import { fromUint64, snix } from '@neve/castore-model/proto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { anyDirectory, anyEntries, anyName, anyNode } from './arbitraries.js'
import { hex } from './fixtures.js'

/** A few edits of bytes: replaced, inserted, removed, cut off, doubled. */
const edits = fc.array(
  fc.record({
    kind: fc.constantFrom('set', 'bump', 'insert', 'remove', 'cut', 'double'),
    at: fc.nat(),
    byte: fc.oneof(fc.nat(255), fc.constantFrom(0x00, 0x0a, 0x12, 0x18, 0x1a, 0x20, 0x2e, 0x2f, 0x80)),
  }),
  { minLength: 1, maxLength: 3 },
)

function edited(bytes: Uint8Array, list: readonly { kind: string; at: number; byte: number }[]): Uint8Array {
  let out = [...bytes]
  for (const { kind, at, byte } of list) {
    const place = out.length === 0 ? 0 : at % out.length
    if (kind === 'insert' || out.length === 0) out.splice(place, 0, byte)
    else if (kind === 'set') out[place] = byte
    else if (kind === 'bump') out[place] = (out[place]! + (byte % 3) - 1) & 255
    else if (kind === 'remove') out.splice(place, 1)
    else if (kind === 'cut') out = out.slice(0, place)
    else out = [...out.slice(0, place), ...out]
  }
  return Uint8Array.from(out)
}

function attempt<T>(run: () => T): T | CastoreModelError {
  try {
    return run()
  } catch (error) {
    if (error instanceof CastoreModelError) return error
    throw error
  }
}

describe('Directory codec, properties', () => {
  it('decode(encode(d)) equals d, and the model size is the wire size', () => {
    fc.assert(
      fc.property(anyEntries, (entries) => {
        const made = Directory.fromEntries(entries)
        const decoded = Directory.decode(made.encode().slice())
        expect(decoded.entryCount).toBe(entries.length)
        for (const [name, node] of entries) expect(equalNodes(decoded.get(name)!, node)).toBe(true)
        expect(decoded.equals(made)).toBe(true)
        expect(decoded.size()).toBe(made.size())
        expect(directoryMessageSize(parseDirectoryMessage(made.encode()))).toBe(made.size())
        expect(made.size('twice') - made.size('once')).toBe(BigInt(entries.length))
        const again = Directory.fromEntries(decoded.entries)
        expect(again.digest().equals(made.digest())).toBe(true)
        expect(Directory.decodeMessage(made.encode()).equals(made)).toBe(true)
      }),
      { numRuns: 600 },
    )
  })

  it('agrees with the generated codec', () => {
    const { Directory: Generated } = snix.castore.v1
    fc.assert(
      fc.property(anyDirectory, (value) => {
        const message = Generated.decode(value.encode())
        expect(hex(Generated.encode(message).finish())).toBe(hex(value.encode()))
        const read = [...message.directories, ...message.files].map((node) => [
          hex(node.name!),
          fromUint64(node.size ?? 0),
        ])
        const kinds = ['directory', 'file'].flatMap((kind) =>
          value.entries.filter((entry) => entry.node.kind === kind),
        )
        expect(read).toEqual(
          kinds.map(({ name, node }) => [hex(name.bytes), node.kind === 'symlink' ? 0n : node.size]),
        )
      }),
      { numRuns: 300 },
    )
  })

  it('is strict: takes edited bytes only if they are what it would write', () => {
    let accepted = 0
    fc.assert(
      fc.property(anyDirectory, edits, (value, list) => {
        const bytes = edited(value.encode(), list)
        const strict = attempt(() => Directory.decode(bytes.slice()))
        const lenient = attempt(() => Directory.decodeMessage(bytes))
        if (strict instanceof Directory) {
          accepted++
          expect(hex(Directory.fromEntries(strict.entries).encode())).toBe(hex(bytes))
          expect(lenient instanceof Directory && lenient.equals(strict)).toBe(true)
        } else if (lenient instanceof Directory) {
          expect(strict).toMatchObject({ kind: 'NonCanonical' })
          expect(hex(lenient.encode())).not.toBe(hex(bytes))
        } else {
          expect(strict).toMatchObject({ code: lenient.code, message: lenient.message })
        }
      }),
      { numRuns: 4000 },
    )
    expect(accepted).toBeGreaterThan(50)
  })

  it('reads arbitrary bytes or throws its own errors', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        for (const read of [
          Directory.decode,
          Directory.decodeMessage,
          decodeNamedNode,
          decodeAnonymousNode,
        ]) {
          attempt<unknown>(() => read(bytes.slice()))
        }
      }),
      { numRuns: 3000 },
    )
  })
})

describe('Node codec, properties', () => {
  it('reads back what it writes, named and anonymous', () => {
    fc.assert(
      fc.property(anyName, anyNode, (name, node) => {
        const named = decodeNamedNode(encodeNode(name.bytes, node))
        expect(named.name.equals(name)).toBe(true)
        expect(equalNodes(named.node, node)).toBe(true)
        expect(equalNodes(decodeAnonymousNode(encodeNode(new Uint8Array(0), node)), node)).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  it('reads edited bytes or throws its own errors; what it reads it can write', () => {
    fc.assert(
      fc.property(fc.option(anyName, { nil: undefined }), anyNode, edits, (name, node, list) => {
        const bytes = edited(encodeNode(name?.bytes ?? new Uint8Array(0), node), list)
        const named = attempt(() => decodeNamedNode(bytes))
        if (!(named instanceof CastoreModelError)) {
          const again = decodeNamedNode(encodeNode(named.name.bytes, named.node))
          expect(again.name.equals(named.name) && equalNodes(again.node, named.node)).toBe(true)
        }
        const anonymous = attempt(() => decodeAnonymousNode(bytes))
        if (!(anonymous instanceof CastoreModelError)) {
          expect(named).toBeInstanceOf(CastoreModelError)
          expect(equalNodes(decodeAnonymousNode(encodeNode(new Uint8Array(0), anonymous)), anonymous)).toBe(
            true,
          )
        }
      }),
      { numRuns: 3000 },
    )
  })
})
