import { B3Digest, blake3, type Directory, type FileNode, type Node } from '@neve/castore-model'
import { type BlobService, DataLossError, type DirectoryService } from '@neve/castore-services'
import { decodeChunkList, engineError, engineOf } from '@neve/castore-services/blob/embedded'
import type { ContentReader, EmbeddedStore } from '@neve/embedded-store'
import { NarEncoder } from '@neve/nar'
import { StoreError } from './errors.js'

/** Where {@link renderNar} takes content from. */
export interface NarServices {
  readonly blobs: BlobService
  readonly directories: DirectoryService
}

/** Options of {@link renderNar}. */
export interface RenderNarOptions {
  readonly signal?: AbortSignal | undefined
}

/** Nix reads NARs of any depth up to its own limits: what is in the store can be rendered. */
export const MAX_NAR_DEPTH = 1_000_000

interface OpenDirectory {
  readonly entries: Iterator<Directory['entries'][number]>
}

/**
 * Renders the NAR of a node (spec 07 section 8.2): depth first, with memory for the directories on the way down only.
 * Content is verified before it is delivered. Each piece belongs to the caller until it asks for the next.
 *
 * @throws StoreError `directory-not-found`, `blob-not-found`, `wrong-size`; DataLossError; errors of the services. What
 *   was delivered before is to be thrown away.
 */
export async function* renderNar(
  services: NarServices,
  node: Node,
  options: RenderNarOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const ready: Uint8Array[] = []
  const encoder = new NarEncoder((chunk) => ready.push(chunk), { maxDepth: MAX_NAR_DEPTH })
  const engine = engineOf(services.blobs)
  const content = engine === undefined ? new ServiceContent(services.blobs) : new EngineContent(engine)
  const open: OpenDirectory[] = []
  encoder.start()
  for (let next: Node | undefined = node; next !== undefined; ) {
    options.signal?.throwIfAborted()
    const current: Node = next
    next = undefined
    if (current.kind === 'symlink') {
      encoder.symlink(current.target.bytes)
    } else if (current.kind === 'directory') {
      const directory = await services.directories.get(current.digest, options)
      if (directory === undefined) {
        throw new StoreError('directory-not-found', `directory ${current.digest} is not in the store`)
      }
      encoder.directoryStart()
      open.push({ entries: directory.entries.values() })
    } else {
      encoder.fileHeader(current.executable, current.size)
      const small = content.small(current) ?? (await content.load(current))
      if (small !== undefined) {
        encoder.content(small)
      } else {
        for await (const piece of content.pieces(current, options)) {
          encoder.content(piece)
          while (ready.length > 0) yield ready.shift()!
        }
      }
      encoder.fileEnd()
    }
    if (current.kind !== 'directory' && open.length > 0) encoder.entryEnd()
    while (next === undefined) {
      const directory = open.at(-1)
      if (directory === undefined) break
      const entry = directory.entries.next()
      if (entry.done === true) {
        encoder.directoryEnd()
        open.pop()
        if (open.length > 0) encoder.entryEnd()
      } else {
        encoder.entry(entry.value.name.bytes)
        next = entry.value.node
      }
    }
    if (ready.length > 0) {
      yield* ready
      ready.length = 0
    }
  }
  encoder.finish()
  yield* ready
}

function wrongSize(file: FileNode, actual: bigint): StoreError {
  return new StoreError('wrong-size', `blob ${file.digest} has ${actual} bytes, its node says ${file.size}`)
}

function absent(file: FileNode): StoreError {
  return new StoreError('blob-not-found', `blob ${file.digest} is not in the store`)
}

const NOTHING = new Uint8Array(0)

/** Content through the service interface. */
class ServiceContent {
  readonly #blobs: BlobService

  constructor(blobs: BlobService) {
    this.#blobs = blobs
  }

  small(file: FileNode): Uint8Array | undefined {
    return file.size === 0n && file.digest.equals(B3Digest.EMPTY) ? NOTHING : undefined
  }

  async load(_file: FileNode): Promise<Uint8Array | undefined> {
    return undefined
  }

  async *pieces(file: FileNode, options: RenderNarOptions): AsyncIterable<Uint8Array> {
    await using reader = await this.#blobs.open(file.digest, options)
    if (reader === undefined) throw absent(file)
    if (reader.size !== file.size) throw wrongSize(file, reader.size)
    const whole = { start: 0n, end: reader.size }
    if (reader.stream !== undefined) {
      yield* reader.stream(whole, options)
      return
    }
    for (let offset = 0n; offset < reader.size; ) {
      const piece = await reader.readAt(offset, 256 * 1024, options)
      offset += BigInt(piece.length)
      yield piece
    }
  }
}

/** Content straight from an embedded store's segments, read in order. */
class EngineContent {
  readonly #engine: EmbeddedStore
  readonly #reader: ContentReader
  readonly #backend: string
  #scratch = Buffer.allocUnsafeSlow(512 * 1024)

  constructor(engine: EmbeddedStore) {
    this.#engine = engine
    this.#backend = `embedded:${engine.path}`
    this.#reader = engine.contentReader()
  }

  /** The whole content, if it is in the block at hand. */
  small(file: FileNode): Uint8Array | undefined {
    if (file.size === 0n && file.digest.equals(B3Digest.EMPTY)) return NOTHING
    try {
      const stored = this.#reader.peek(file.digest.bytes)
      return stored === undefined ? undefined : this.#checked(file, this.#expand(file.digest, stored))
    } catch (error) {
      throw engineError(error, file.digest, this.#backend)
    }
  }

  /** The whole content, if it is stored as one piece. */
  async load(file: FileNode): Promise<Uint8Array | undefined> {
    const content = await this.#read(file.digest)
    return content === undefined ? undefined : this.#checked(file, content)
  }

  async *pieces(file: FileNode): AsyncIterable<Uint8Array> {
    const list = this.#engine.get('blobs', file.digest.bytes)
    if (list === undefined) throw absent(file)
    const chunks = decodeChunkList(file.digest, list, this.#backend)
    const size = chunks.reduce((sum, chunk) => sum + chunk.size, 0n)
    if (size !== file.size) throw wrongSize(file, size)
    for (const chunk of chunks) {
      const content = await this.#read(chunk.digest)
      if (content === undefined || BigInt(content.length) !== chunk.size) {
        const found = content === undefined ? 'missing' : `of ${content.length} bytes, expected ${chunk.size}`
        throw new DataLossError(
          file.digest,
          this.#backend,
          `chunk ${chunk.digest} of blob ${file.digest} is ${found}`,
        )
      }
      yield content
    }
  }

  async #read(digest: B3Digest): Promise<Uint8Array | undefined> {
    try {
      const stored = this.#reader.peek(digest.bytes) ?? (await this.#reader.read(digest.bytes))
      return stored === undefined ? undefined : this.#expand(digest, stored)
    } catch (error) {
      throw engineError(error, digest, this.#backend)
    }
  }

  #expand(
    digest: B3Digest,
    stored: { rawLength: number; compressed: boolean; payload: Uint8Array },
  ): Uint8Array {
    let content = stored.payload
    if (stored.compressed) {
      if (this.#scratch.length < stored.rawLength) this.#scratch = Buffer.allocUnsafeSlow(stored.rawLength)
      content = this.#scratch.subarray(0, stored.rawLength)
      if (!this.#reader.expand(stored, content)) {
        throw new DataLossError(
          digest,
          this.#backend,
          `the stored frame of ${digest} does not give its content`,
        )
      }
    }
    if (Buffer.compare(blake3.digest(content), digest.bytes) !== 0) {
      throw new DataLossError(digest, this.#backend, `the content of ${digest} has another hash`)
    }
    return content
  }

  #checked(file: FileNode, content: Uint8Array): Uint8Array {
    if (BigInt(content.length) !== file.size) throw wrongSize(file, BigInt(content.length))
    return content
  }
}
