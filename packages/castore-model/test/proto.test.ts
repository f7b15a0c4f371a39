import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { B3Digest, encodeNode, encodeStatBlobResponse, InvalidSizeError } from '@neve/castore-model'
import { fromUint64, snix, toUint64, tvix } from '@neve/castore-model/proto'
import { describe, expect, it } from 'vitest'
import { BLOB_A, directory, dirNode, emptyFile, fileNode, fixtures, hex, link, unhex } from './fixtures.js'

const E = 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'
const { WITH_KEEP, ...others } = fixtures('once')
const generations = [
  ['tvix', tvix.castore.v1, tvix.castore.v1.FileNode, tvix.castore.v1.Node, 'node'],
  ['snix', snix.castore.v1, snix.castore.v1.FileEntry, snix.castore.v1.Entry, 'entry'],
] as const

describe.each(generations)('generated messages of %s.castore.v1', (generation, v1, File, Node, oneof) => {
  const directories = {
    ...others,
    WITH_KEEP,
    precision: directory({ big: fileNode(2n ** 53n + 1n, true, B3Digest.EMPTY) }),
    nearlyFull: directory({ foo: dirNode(2n ** 64n - 2n) }),
    mixed: directory({ d: dirNode(1n), f: emptyFile, l: link(unhex('c5c4d6')) }),
  }

  it.each(Object.entries(directories))('%s has the bytes of the hand-written codec', (_, value) => {
    const decoded = v1.Directory.decode(value.encode())
    expect(hex(v1.Directory.encode(decoded).finish())).toBe(hex(value.encode()))
    expect(decoded.directories.length + decoded.files.length + decoded.symlinks.length).toBe(value.entryCount)
  })

  it('keeps 2^53+1 and 2^64−1 exactly', () => {
    for (const size of [0n, 1n, 2n ** 32n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
      const bytes = File.encode({ digest: B3Digest.EMPTY.bytes, size: toUint64(size) }).finish()
      expect(fromUint64(File.decode(bytes).size)).toBe(size)
      expect(hex(bytes)).toBe(
        hex(encodeNode(new Uint8Array(0), fileNode(size, false, B3Digest.EMPTY)).subarray(2)),
      )
    }
    for (const size of [-1n, 2n ** 64n]) expect(() => toUint64(size)).toThrow(InvalidSizeError)
    expect(fromUint64(7)).toBe(7n)
  })

  it('encodes the requests and responses of spec 01 section 11.3 and spec 03 section 13', () => {
    const digest = WITH_KEEP.digest().bytes
    const C = others.C.digest()
    const cases: [Uint8Array, string][] = [
      [
        v1.StatBlobRequest.encode({ digest: B3Digest.EMPTY.bytes, send_chunks: true }).finish(),
        `0a20${E}1001`,
      ],
      [
        v1.GetDirectoryRequest.encode({ digest, recursive: true }).finish(),
        `0a20${WITH_KEEP.digest().toHex()}1001`,
      ],
      [v1.GetDirectoryRequest.encode({ digest: B3Digest.EMPTY.bytes }).finish(), `0a20${E}`],
      [v1.GetDirectoryRequest.encode({ digest: new Uint8Array(0) }).finish(), '0a00'],
      [v1.GetDirectoryRequest.encode({}).finish(), ''],
      [v1.PutDirectoryResponse.encode({ root_digest: C.bytes }).finish(), `0a20${C.toHex()}`],
      [v1.BlobChunk.encode({ data: BLOB_A }).finish(), '0a020001'],
      [Node.encode({ file: {} }).finish(), '1200'],
    ]
    for (const [bytes, encoding] of cases) expect(hex(bytes)).toBe(encoding)
  })

  it('tells not set from set but empty', () => {
    expect(v1.GetDirectoryRequest.decode(new Uint8Array(0)).by_what).toBeUndefined()
    expect(v1.GetDirectoryRequest.decode(unhex('0a00')).by_what).toBe('digest')
    const set = (bytes: Uint8Array) => (Node.decode(bytes) as unknown as Record<string, unknown>)[oneof]
    expect(set(new Uint8Array(0))).toBeUndefined()
    expect(set(unhex('0a00'))).toBe('directory')
  })

  it('agrees on blob metadata', () => {
    const chunks = [
      { digest: B3Digest.of(BLOB_A), size: 2n },
      { digest: B3Digest.EMPTY, size: 2n ** 40n },
    ]
    const bytes = encodeStatBlobResponse(chunks)
    const decoded = v1.StatBlobResponse.decode(bytes)
    expect(decoded.chunks.map((chunk) => fromUint64(chunk.size ?? 0))).toEqual([2n, 2n ** 40n])
    expect(hex(v1.StatBlobResponse.encode(decoded).finish())).toBe(hex(bytes))
  })

  it('ships its .proto files under their canonical names', () => {
    const require = createRequire(import.meta.url)
    const read = (name: string) =>
      readFileSync(
        require.resolve(`@neve/castore-model/protos/${generation}/castore/protos/${name}.proto`),
        'utf8',
      )
    const texts = ['castore', 'rpc_blobstore', 'rpc_directory'].map(read)
    for (const text of texts) expect(text).toContain(`\npackage ${generation}.castore.v1;\n`)
    expect(texts[2]).toContain(`import "${generation}/castore/protos/castore.proto";`)
    expect(texts.join('')).not.toContain('{{')
    expect(texts[1]).toMatch(/service BlobService[^}]*rpc Stat[^}]*rpc Read[^}]*rpc Put/)
    expect(texts[2]).toMatch(/service DirectoryService[^}]*rpc Get[^}]*rpc Put/)
  })
})
