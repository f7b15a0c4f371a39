import { B3Digest, blake3, Directory } from '@neve/castore-model'
import type { EmbeddedStore, WriteSession } from '@neve/embedded-store'
import { engineError } from '../blob/embedded.js'
import type { CallOptions } from '../call-options.js'
import type { DirectoryPutter, DirectoryService } from '../directory-service.js'
import { DataLossError } from '../errors.js'
import { rescue } from '../gc/rescue.js'
import { GraphPutter } from './graph-putter.js'
import { traverseDirectory } from './traverse.js'

/**
 * Directories in an embedded store. An upload is checked as a whole and published in one transaction; what is read is
 * checked against its digest.
 */
export class EmbeddedDirectoryService implements DirectoryService {
  readonly putsSingly = true
  /** The engine, which the service does not close. */
  readonly engine: EmbeddedStore
  readonly #backend: string

  constructor(engine: EmbeddedStore) {
    this.engine = engine
    this.#backend = `embedded:${engine.path}`
  }

  async get(digest: B3Digest, { signal }: CallOptions = {}): Promise<Directory | undefined> {
    signal?.throwIfAborted()
    const bytes = this.#guard(digest, () => this.engine.get('directories', digest.bytes))
    if (bytes === undefined) return undefined
    // Who asks may go by the answer, and store what leans on it.
    if (!this.engine.readOnly && this.engine.isCondemned('directories', digest.bytes)) {
      const kept = await rescue(this.engine, { kind: 'directory', digest }, { signal })
      if (!kept) return undefined
    }
    const actual = blake3.digest(bytes)
    if (Buffer.compare(actual, digest.bytes) !== 0) {
      const found = B3Digest.from(actual)
      throw new DataLossError(
        digest,
        this.#backend,
        `requested directory with digest ${digest}, but got ${found}`,
      )
    }
    try {
      return Directory.decode(bytes)
    } catch (error) {
      throw new DataLossError(digest, this.#backend, `directory ${digest} cannot be decoded`, {
        cause: error,
      })
    }
  }

  async put(directory: Directory, { signal }: CallOptions = {}): Promise<B3Digest> {
    signal?.throwIfAborted()
    await this.#store([directory])
    return directory.digest()
  }

  getRecursive(root: B3Digest, options?: CallOptions): AsyncIterable<Directory> {
    return traverseDirectory(this, root, { ...options, backend: this.#backend })
  }

  putMultipleStart(options?: CallOptions): DirectoryPutter {
    return new GraphPutter((graph) => this.#store(graph.leavesToRoot()), options)
  }

  /** As {@link putMultipleStart}, into a session of the engine: durable once the caller has committed it. */
  putMultipleInto(session: WriteSession, options?: CallOptions): DirectoryPutter {
    return new GraphPutter(async (graph) => this.#write(session, graph.leavesToRoot()), options)
  }

  /** A putter for a caller that builds closures itself, in order: it checks nothing and leaves the commit to the caller. */
  uncheckedPutter(session: WriteSession): SessionPutter {
    return new SessionPutter(this.engine, session)
  }

  async #store(directories: Iterable<Directory>): Promise<void> {
    try {
      const session = this.engine.write()
      this.#write(session, directories)
      await session.commit()
    } catch (error) {
      throw engineError(error, undefined, this.#backend)
    }
  }

  #write(session: WriteSession, directories: Iterable<Directory>): void {
    for (const directory of directories) {
      const digest = directory.digest().bytes
      if (!isSound(this.engine, digest)) session.put('directories', digest, directory.encode())
    }
  }

  #guard<T>(digest: B3Digest, call: () => T): T {
    try {
      return call()
    } catch (error) {
      throw engineError(error, digest, this.#backend)
    }
  }
}

function isSound(engine: EmbeddedStore, digest: Uint8Array): boolean {
  if (engine.isCondemned('directories', digest)) return false
  const stored = engine.get('directories', digest)
  return stored !== undefined && Buffer.compare(blake3.digest(stored), digest) === 0
}

/** A putter into a session that others write to as well, if both services are of the same engine. */
export function embeddedPutter(
  directories: DirectoryService,
  engine: EmbeddedStore | undefined,
  session: WriteSession | undefined,
): SessionPutter | undefined {
  if (session === undefined || !(directories instanceof EmbeddedDirectoryService)) return undefined
  return directories.engine === engine ? directories.uncheckedPutter(session) : undefined
}

/** Puts directories into a session, checking nothing. */
export class SessionPutter implements DirectoryPutter {
  readonly #engine: EmbeddedStore
  readonly #session: WriteSession
  readonly #seen = new Set<string>()
  #last: B3Digest | undefined

  constructor(engine: EmbeddedStore, session: WriteSession) {
    this.#engine = engine
    this.#session = session
  }

  async put(directory: Directory): Promise<void> {
    this.#put(directory.digest(), directory.encode())
  }

  /** Puts a directory by its canonical encoding, which is kept. @returns its digest */
  putEncoded(encoded: Uint8Array): B3Digest {
    const digest = B3Digest.of(encoded)
    this.#put(digest, encoded)
    return digest
  }

  #put(digest: B3Digest, encoded: Uint8Array): void {
    this.#last = digest
    if (this.#seen.has(digest.key)) return
    this.#seen.add(digest.key)
    if (!isSound(this.#engine, digest.bytes)) this.#session.put('directories', digest.bytes, encoded)
  }

  async close(): Promise<B3Digest> {
    return this.#last ?? B3Digest.EMPTY
  }

  async abort(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}
