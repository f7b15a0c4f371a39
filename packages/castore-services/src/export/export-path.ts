import { closeSync, constants, mkdirSync, openSync, symlinkSync, writeSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { escapeBytes, type FileNode, type Node } from '@neve/castore-model'
import type { BlobService } from '../blob-service.js'
import { mapOrdered } from '../concurrency/map-ordered.js'
import type { DirectoryService } from '../directory-service.js'
import { type ContentSource, contentSource } from './content-source.js'
import { ExportPathError, readError, systemReason, writeError } from './errors.js'
import { type ExportStep, exportSteps } from './export-steps.js'

/** How far an export has come. */
export interface ExportProgress {
  readonly files: number
  readonly directories: number
  readonly symlinks: number
  /** Bytes of file content. */
  readonly bytes: number
}

/** Options of {@link exportPath}. */
export interface ExportPathOptions {
  readonly signal?: AbortSignal | undefined
  /** Called often: keep it short. */
  readonly onProgress?: ((progress: ExportProgress) => void) | undefined
}

/** The services that {@link exportPath} reads. */
export interface ExportServices {
  readonly blobs: BlobService
  readonly directories: Pick<DirectoryService, 'get'>
}

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants
const CREATE = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
/** Host calls are synchronous, which is what small files want; timers and signals get their turn this often, in ms. */
const TURN = 20

/**
 * Writes a tree of the store to disk: the same bytes, names, link targets and executable bits. Modes are 0755 for
 * directories and executables, 0644 for other files, both less the umask. Memory does not grow with the size of a file.
 *
 * Everything is made new and no link is followed, so nothing outside the destination is touched. When it fails, or is
 * cancelled, what was made is removed again.
 *
 * @param destination must not exist, not even as a dangling link; its parent must. As bytes where it is not UTF-8
 * @returns once everything is handed to the host; it is not synced
 * @throws ExportPathError names the path; the signal's reason when cancelled
 */
export async function exportPath(
  services: ExportServices,
  node: Node,
  destination: string | Uint8Array,
  options: ExportPathOptions = {},
): Promise<ExportProgress> {
  options.signal?.throwIfAborted()
  const root = rootPath(destination, node)
  const run = new Export(contentSource(services.blobs), options)
  try {
    await run.tree(exportSteps(services.directories, node, root, options))
  } catch (error) {
    if (run.started) await removePartial(root, error)
    throw error
  }
  return run.progress()
}

interface Loaded {
  readonly step: ExportStep
  /** The content of a small file. */
  readonly content: Uint8Array | undefined
}

class Export {
  /** Whether the root was made: only then there is something of ours to remove. */
  started = false
  readonly #source: ContentSource
  readonly #options: ExportPathOptions
  #files = 0
  #directories = 0
  #symlinks = 0
  #bytes = 0
  #turn = performance.now()

  constructor(source: ContentSource, options: ExportPathOptions) {
    this.#source = source
    this.#options = options
  }

  progress(): ExportProgress {
    return {
      files: this.#files,
      directories: this.#directories,
      symlinks: this.#symlinks,
      bytes: this.#bytes,
    }
  }

  async tree(steps: AsyncIterable<ExportStep>): Promise<void> {
    const { signal } = this.#options
    for await (const { step, content } of this.#loaded(steps)) {
      const { node } = step
      if (node.kind === 'file') await this.#file(step.path, node, content)
      else if (node.kind === 'symlink') this.#symlink(step.path, node.target.bytes)
      else this.#directory(step.path)
      if (performance.now() - this.#turn > TURN) {
        this.#options.onProgress?.(this.progress())
        await nextTurn()
        this.#turn = performance.now()
        signal?.throwIfAborted()
      }
    }
    this.#options.onProgress?.(this.progress())
  }

  #loaded(steps: AsyncIterable<ExportStep>): AsyncIterable<Loaded> {
    const { signal } = this.#options
    const { concurrency } = this.#source
    if (concurrency > 1)
      return mapOrdered(steps, concurrency, (step, stop) => this.#load(step, stop), { signal })
    return this.#loadedOneByOne(steps)
  }

  async *#loadedOneByOne(steps: AsyncIterable<ExportStep>): AsyncGenerator<Loaded> {
    for await (const step of steps) yield await this.#load(step, this.#options.signal)
  }

  async #load(step: ExportStep, signal: AbortSignal | undefined): Promise<Loaded> {
    if (step.node.kind !== 'file') return { step, content: undefined }
    const { node } = step
    const content = await this.#reading(step.path, () => this.#source.whole(node, { signal }))
    return { step, content }
  }

  #directory(path: Buffer): void {
    this.#make(path, () => mkdirSync(path, 0o755))
    this.#directories++
  }

  #symlink(path: Buffer, target: Uint8Array): void {
    this.#make(path, () => symlinkSync(Buffer.from(target), path))
    this.#symlinks++
  }

  async #file(path: Buffer, node: FileNode, content: Uint8Array | undefined): Promise<void> {
    if (content !== undefined && BigInt(content.length) !== node.size)
      throw wrongSize(path, node, content.length)
    const pieces = content === undefined ? await this.#open(path, node) : undefined
    const file = this.#make(path, () => openSync(path, CREATE, node.executable ? 0o755 : 0o644))
    try {
      if (content !== undefined) this.#write(path, file, content)
      else if (pieces !== undefined) await this.#writePieces(path, file, node, pieces)
    } finally {
      closeSync(file)
    }
    this.#files++
  }

  async #open(path: Buffer, node: FileNode): Promise<AsyncIterable<Uint8Array>> {
    const { signal } = this.#options
    const pieces = await this.#reading(path, () => this.#source.pieces(node, { signal }))
    if (pieces !== undefined) return pieces
    throw new ExportPathError(
      'not-found',
      path,
      `cannot write ${escapeBytes(path)}: blob ${node.digest} is not in the store`,
    )
  }

  async #writePieces(
    path: Buffer,
    file: number,
    node: FileNode,
    pieces: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    let written = 0
    const source = pieces[Symbol.asyncIterator]()
    try {
      for (;;) {
        const next = await this.#reading(path, () => source.next())
        if (next.done === true) break
        this.#write(path, file, next.value)
        written += next.value.length
        if (written > node.size) throw wrongSize(path, node, written)
        this.#options.onProgress?.(this.progress())
      }
    } finally {
      await source.return?.()
    }
    if (BigInt(written) !== node.size) throw wrongSize(path, node, written)
  }

  #write(path: Buffer, file: number, bytes: Uint8Array): void {
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done)
    } catch (error) {
      throw writeError(path, error)
    }
    this.#bytes += bytes.length
  }

  #make<T>(path: Buffer, make: () => T): T {
    try {
      const made = make()
      this.started = true
      return made
    } catch (error) {
      if (!this.started && error instanceof Error && 'code' in error && error.code === 'EEXIST') {
        throw new ExportPathError(
          'destination-exists',
          path,
          `cannot write ${escapeBytes(path)}: it exists already; expected a path where there is nothing`,
          { cause: error },
        )
      }
      throw writeError(path, error)
    }
  }

  async #reading<T>(path: Buffer, read: () => Promise<T>): Promise<T> {
    try {
      return await read()
    } catch (error) {
      if (this.#options.signal?.aborted === true) throw this.#options.signal.reason
      throw readError(path, error)
    }
  }
}

function wrongSize(path: Buffer, node: FileNode, actual: number): ExportPathError {
  return new ExportPathError(
    'wrong-size',
    path,
    `cannot write ${escapeBytes(path)}: blob ${node.digest} has ${actual} bytes, expected ${node.size}`,
  )
}

/** The destination as bytes; `dir/` is taken for `dir`, as other programs do for folders that are to be made. */
function rootPath(destination: string | Uint8Array, node: Node): Buffer {
  const path = Buffer.from(destination as Uint8Array)
  let end = path.length
  if (node.kind === 'directory') while (end > 1 && path[end - 1] === 0x2f) end--
  return path.subarray(0, end)
}

async function removePartial(root: Buffer, error: unknown): Promise<void> {
  try {
    await rm(root, { recursive: true, force: true })
  } catch (failure) {
    if (!(error instanceof Error)) return
    error.message += `; what was written to ${escapeBytes(root)} could not be removed: ${systemReason(failure)}`
  }
}
