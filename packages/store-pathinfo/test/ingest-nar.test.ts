import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { B3Digest, type Node } from '@neve/castore-model'
import { dumpPath } from '@neve/nar/node'
import { ContentAddress, type ContentAddressMethod, type HashAlgorithm, NixHash } from '@neve/nix-compat'
import {
  calculateNar,
  type IngestNarOptions,
  ingestNar,
  NarMismatchError,
  renderNar,
} from '@neve/store-pathinfo'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeRandomTree, NAR_VECTORS } from './host-trees.js'
import {
  collect,
  expectStoreError,
  failureOf,
  hex,
  memoryServices,
  temporaryStore,
  toHex,
} from './support.js'

const SYMLINK = nar(
  '0d000000000000006e69782d617263686976652d310000000100000000000000280000000000000004000000000000007479706500000000070000000000000073796d6c696e6b000600000000000000746172676574000018000000000000002f6e69782f73746f72652f736f6d657768657265656c736501000000000000002900000000000000',
)
const HELLOWORLD = nar(
  '0d000000000000006e69782d617263686976652d3100000001000000000000002800000000000000040000000000000074797065000000000700000000000000726567756c6172000800000000000000636f6e74656e74730c0000000000000048656c6c6f20576f726c64210000000001000000000000002900000000000000',
)
const HELLO = '5ca7815adcb484e9a136c11efe69c1d530176d549b5d18d038eb5280b4b3470c'
const KEEP = '8b5b5d642b646bb8ed504b0862c39413e87e57491497de7bd075953f7b83810e'
const DIRECTORY = '3f951a15afd586fb3121ef4d13d582e811ce0e5a7f21c0497fd87490e9e2355a'

function nar(text: string): Uint8Array {
  return hex(text)
}
const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest())

let target: ReturnType<typeof memoryServices>
let complicated: Uint8Array
beforeEach(async () => {
  target = memoryServices()
  const vector = NAR_VECTORS.find(({ id }) => id === 'N-6')!
  const tree = vector.size
  expect(tree).toBe(840)
  complicated = await complicatedNar()
  expect(toHex(sha256(complicated))).toBe('ebd52279a8df024c9fd5718de4103bf5e760dc7f2cf49044ee7dea87ab16911a')
})

/** COMPLICATED, rendered from a store into which its parts are put by hand. */
async function complicatedNar(): Promise<Uint8Array> {
  const { DirectoryBuilder, PathComponent, SymlinkTarget } = await import('@neve/castore-model')
  const from = memoryServices()
  const empty: Node = {
    kind: 'file',
    digest: await from.blobs.put(new Uint8Array(0)),
    size: 0n,
    executable: false,
  }
  const keep = new DirectoryBuilder()
  keep.add(PathComponent.from('.keep'), empty)
  const inner = keep.build()
  await from.directories.put(inner)
  const outer = new DirectoryBuilder()
  outer.add(PathComponent.from('keep'), inner.toNode())
  outer.add(PathComponent.from('.keep'), empty)
  outer.add(PathComponent.from('aa'), {
    kind: 'symlink',
    target: SymlinkTarget.from('/nix/store/somewhereelse'),
  })
  const root = outer.build()
  await from.directories.put(root)
  return collect(renderNar(from, root.toNode()))
}

/** In pieces of some length. */
async function* pieces(bytes: Uint8Array, length = bytes.length): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.slice(at, at + length)
}
const ingest = (bytes: Uint8Array, options?: IngestNarOptions) => ingestNar(target, pieces(bytes), options)

describe('ingesting NARs', () => {
  it('07#34 a symlink, a file, a directory', async () => {
    expect((await ingest(SYMLINK)).node).toMatchObject({ kind: 'symlink' })
    const file = await ingest(HELLOWORLD)
    expect(file.node).toEqual({
      kind: 'file',
      digest: B3Digest.from(hex(HELLO)),
      size: 12n,
      executable: false,
    })
    expect(file.narSize).toBe(128n)
    expect(file.narSha256).toEqual(sha256(HELLOWORLD))
    expect(await target.blobs.get(B3Digest.from(hex(HELLO)))).toEqual(
      new TextEncoder().encode('Hello World!'),
    )
    const { node } = await ingest(complicated)
    expect(node).toEqual({ kind: 'directory', digest: B3Digest.from(hex(DIRECTORY)), size: 4n })
    expect(await target.blobs.has(B3Digest.EMPTY)).toBe(true)
    const below: string[] = []
    for await (const directory of target.directories.getRecursive(B3Digest.from(hex(DIRECTORY)))) {
      below.push(directory.digest().toHex())
    }
    expect(below).toEqual([DIRECTORY, KEEP])
  })

  it('sizes of directories counted twice, when asked to', async () => {
    const { node } = await ingest(complicated, { directorySizes: 'twice' })
    expect(node).toMatchObject({ kind: 'directory', size: 8n })
  })

  it.each([1, 3, 8, 100])('in pieces of %i bytes', async (length) => {
    const { node, narSize } = await ingestNar(target, pieces(complicated, length))
    expect([node.kind, narSize]).toEqual(['directory', 840n])
  })

  it('a tree of real files comes out as it went in', async () => {
    const bytes = await collect(Readable.from(dumpPath(makeRandomTree(77))))
    const options = { narSize: BigInt(bytes.length), narSha256: sha256(bytes) }
    const { node, ...measure } = await ingest(bytes, options)
    expect(measure).toEqual(options)
    expect(Buffer.compare(await collect(renderNar(target, node)), bytes)).toBe(0)
    const store = await temporaryStore()
    const embedded = await ingestNar(store, pieces(bytes, 65536), options)
    expect(embedded.node).toEqual(node)
    expect(await calculateNar(store, node)).toEqual(measure)
  })

  const CONTENT = new TextEncoder().encode('Hello World!')
  const ca = (method: ContentAddressMethod, algorithm: HashAlgorithm, of: Uint8Array) =>
    new ContentAddress(method, NixHash.of(algorithm, of))
  const addresses = (): [string, Uint8Array, ContentAddress][] => [
    ['NAR SHA-256', complicated, ca('recursive', 'sha256', complicated)],
    ['NAR SHA-512', complicated, ca('recursive', 'sha512', complicated)],
    ['NAR SHA-1', SYMLINK, ca('recursive', 'sha1', SYMLINK)],
    ['flat MD5', HELLOWORLD, ca('flat', 'md5', CONTENT)],
    ['flat SHA-256', HELLOWORLD, ca('flat', 'sha256', CONTENT)],
    ['text', HELLOWORLD, ca('text', 'sha256', CONTENT)],
  ]

  it('07#37 content addresses that fit', async () => {
    for (const [name, bytes, address] of addresses()) {
      expect((await ingest(bytes, { ca: address })).narSize, name).toBe(BigInt(bytes.length))
    }
    expect(NixHash.of('md5', CONTENT).toHex()).toBe('ed076287532e86365e841e92bfc50d8c')
  })

  it('07#37 content addresses that do not fit', async () => {
    for (const [name, bytes, { method, hash }] of addresses()) {
      const digest = hash.digest.slice()
      digest[0]! ^= 0x10
      const error = await failureOf(() =>
        ingest(bytes, { ca: new ContentAddress(method, new NixHash(hash.algorithm, digest)) }),
      )
      expect(error, name).toBeInstanceOf(NarMismatchError)
      expect(error, name).toMatchObject({ mismatch: 'content-address', actual: hash.toSri() })
    }
    for (const [bytes, address] of [
      [complicated, ca('flat', 'sha256', CONTENT)],
      [SYMLINK, ca('flat', 'sha1', CONTENT)],
      [complicated, ca('text', 'sha256', CONTENT)],
    ] as const) {
      expect(await failureOf(() => ingest(bytes, { ca: address }))).toMatchObject({ mismatch: 'type' })
    }
  })
})

describe('NARs that are refused', () => {
  afterEach(async () => {
    // No directory of any of them is there.
    for (const digest of [DIRECTORY, KEEP]) {
      expect(await target.directories.get(B3Digest.from(hex(digest)))).toBeUndefined()
    }
  })

  it('another size or hash', async () => {
    expect(await failureOf(() => ingest(complicated, { narSize: 839n }))).toMatchObject({
      code: 'nar-mismatch',
      mismatch: 'size',
      expected: '839 bytes',
    })
    expect(await failureOf(() => ingest(complicated, { narSize: 848n }))).toMatchObject({ mismatch: 'size' })
    const error = await failureOf(() => ingest(complicated, { narSha256: new Uint8Array(32) }))
    expect(error).toMatchObject({
      mismatch: 'hash',
      expected: `sha256-${'A'.repeat(43)}=`,
      actual: 'sha256-69UieajfAkyf1XGN5BA79edg3H8s9JBE7n3qh6sWkRo=',
    })
  })

  it('one that has no end is left when it is too long', async () => {
    let given = 0
    let closed = false
    async function* endless() {
      try {
        yield HELLOWORLD.slice(0, 88)
        yield hex('00000000ffffff00')
        for (;;) {
          given += 65536
          yield new Uint8Array(65536)
        }
      } finally {
        closed = true
      }
    }
    await expectStoreError(() => ingestNar(target, endless(), { maxSize: 2n ** 20n }), 'too-large')
    expect([given <= 2 ** 20 + 65536, closed]).toEqual([true, true])
    const error = await failureOf(() => ingestNar(target, endless(), { narSize: 1000n }))
    expect(error).toMatchObject({ mismatch: 'size' })
    await expectStoreError(() => ingest(HELLOWORLD, { narSize: 2n ** 50n }), 'too-large')
  })

  it('one that is cut, at every byte', async () => {
    for (let length = 0; length < complicated.length; length += 7) {
      const error = await failureOf(() => ingest(complicated.slice(0, length)))
      expect(error).toMatchObject({ name: 'NarError', code: 'unexpected-eof' })
    }
  })

  it('one with something behind it', async () => {
    const error = await failureOf(() => ingest(Buffer.concat([complicated, Buffer.from([0])])))
    expect(error).toMatchObject({ name: 'NarError', code: 'invalid-data' })
  })

  it('nesting without end', async () => {
    const level = complicated.slice(0, 0)
    expect(level).toHaveLength(0)
    const s = (text: string) => {
      const bytes = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8)
      bytes.writeUInt32LE(text.length)
      bytes.write(text, 8)
      return bytes
    }
    const down = Buffer.concat(
      ['type', 'directory', 'entry', '(', 'name', 'a', 'node', '('].map((token) => s(token)),
    )
    async function* deep() {
      yield Buffer.concat([s('nix-archive-1'), s('(')])
      for (;;) yield down
    }
    expect(await failureOf(() => ingestNar(target, deep()))).toMatchObject({ name: 'NarError' })
  })

  it('a source that fails, and a signal', async () => {
    const broken = new Error('the line is dead')
    async function* failing() {
      yield complicated.slice(0, 300)
      throw broken
    }
    expect(await failureOf(() => ingestNar(target, failing()))).toBe(broken)
    const reason = new Error('not wanted any more')
    const controller = new AbortController()
    async function* waiting() {
      yield complicated.slice(0, 300)
      controller.abort(reason)
      yield complicated.slice(300)
    }
    expect(await failureOf(() => ingestNar(target, waiting(), { signal: controller.signal }))).toBe(reason)
  })

  it('a store that fails', async () => {
    const failure = new Error('disk on fire')
    const blobs = { ...target.blobs, has: async () => false, put: () => Promise.reject(failure) }
    const error = await failureOf(() =>
      ingestNar(
        { blobs: Object.assign(Object.create(target.blobs), blobs), directories: target.directories },
        pieces(complicated),
      ),
    )
    expect(String((error as { cause?: unknown }).cause ?? error)).toContain('disk on fire')
  })

  it('fuzz: what is accepted is rendered as it came', async () => {
    const change = fc.tuple(fc.nat(839), fc.nat(255))
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        const bytes = complicated.slice()
        for (const [at, value] of changes) bytes[at] = value
        const own = memoryServices()
        let node: Node
        try {
          ;({ node } = await ingestNar(own, pieces(bytes)))
        } catch (error) {
          expect((error as Error).name).toMatch(/NarError|IngestError|StoreError/)
          return
        }
        expect(toHex(await collect(renderNar(own, node)))).toBe(toHex(bytes))
      }),
      { numRuns: 300 },
    )
  })
})
