import { resolve } from 'node:path'
import { B3Digest, type DirectorySizes, type Node, SymlinkTarget } from '@neve/castore-model'
import type { EmbeddedStore, WriteSession } from '@neve/embedded-store'
import { engineOf } from '../blob/embedded.js'
import type { BlobService } from '../blob-service.js'
import { type Slot, SlotAllowance } from '../concurrency/slot-threads.js'
import { embeddedPutter } from '../directory/embedded.js'
import type { DirectoryPutter, DirectoryService } from '../directory-service.js'
import { ContentStore } from './content-store.js'
import { folderKey } from './file-cache.js'
import { readFileResults } from './file-results.js'
import {
  FILES_PER_TASK,
  type FileFailure,
  type FileResult,
  type ReadFilesResult,
} from './file-tasks-protocol.js'
import { FileWorkers } from './file-workers.js'
import { displayPath, IngestPathError } from './filesystem-error.js'
import { childPath, type WalkStep, walkTree } from './filesystem-walk.js'
import { FolderRecords, withSlash } from './folder-records.js'
import { LargeFile } from './large-file.js'
import { fileNode, TreeAssembler } from './tree-assembler.js'

/**
 * Is told the tree while it is ingested, in the order of a NAR: depth first, siblings in bytewise order of their names.
 * All calls are synchronous; bytes are valid during the call only.
 */
export interface TreeSink {
  directoryStart(): void
  /** A child of the open directory follows: one `file`, `symlink` or `directoryStart`. */
  entry(name: Uint8Array): void
  entryEnd(): void
  directoryEnd(): void
  symlink(target: Uint8Array): void
  /** A regular file of `size` bytes, which follow by `content`; then `fileEnd`. */
  file(executable: boolean, size: number): void
  content(bytes: Uint8Array): void
  fileEnd(): void
}

/** How far an ingestion has come. */
export interface IngestProgress {
  readonly files: number
  readonly directories: number
  readonly symlinks: number
  /** Bytes of file content. */
  readonly bytes: number
}

/** Options of {@link ingestPath}. */
export interface IngestPathOptions {
  /** How entries are counted in the sizes of directories (DESIGN decision 2). Default: `once`. */
  readonly directorySizes?: DirectorySizes | undefined
  readonly signal?: AbortSignal | undefined
  /** Called often: keep it short. */
  readonly onProgress?: ((progress: IngestProgress) => void) | undefined
  /** Is told the tree in the same pass. Every file is read then, even if it is known from an earlier import. */
  readonly sink?: TreeSink | undefined
  /** Threads to share between ingestions into the same store. Default: threads of its own. */
  readonly workers?: FileWorkers | undefined
  /**
   * Where an embedded store is written to: everything is appended to this session, and the caller commits. Default: a
   * session of its own, committed before the promise resolves.
   */
  readonly session?: WriteSession | undefined
  /** Whether unchanged files may be taken from the record of their last import. Default: true; needs an embedded store. */
  readonly fileCache?: boolean | undefined
}

/** What was ingested. */
export interface IngestPathResult extends IngestProgress {
  /** The root. */
  readonly node: Node
  /** Bytes of file content that were not in the store before. */
  readonly newBytes: number
  /** Bytes that were written for them. */
  readonly storedBytes: number
}

/** Whether the files of this tree are known from an earlier import: then they need not be read again. */
export function isRecorded(engine: EmbeddedStore, path: Uint8Array): boolean {
  return engine.has('files', folderKey(withSlash(path)))
}

/** The services that {@link ingestPath} writes to. */
export interface IngestServices {
  readonly blobs: BlobService
  readonly directories: DirectoryService
}

/** Slots of one ingestion: enough to keep the threads busy while results wait for their turn. */
const SLOTS_PER_THREAD = 3
/** So many slots are left for large files while tasks wait for their turn. */
const RESERVED_SLOTS = 2
const MAX_QUEUE = 16
const NO_NAME = Buffer.alloc(0)

export { FileWorkers } from './file-workers.js'
export { displayPath, IngestPathError, type IngestPathErrorCode } from './filesystem-error.js'

interface Batch {
  readonly steps: readonly WalkStep[]
  readonly files: number
  readonly paths: Uint8Array
  slot: Slot | undefined
  result: Promise<ReadFilesResult> | undefined
}

/**
 * Stores a file, symlink or directory of the host (spec 06 section 3). Files are read, hashed, cut and compressed by
 * worker threads; contents are stored in the order of a NAR. Symlinks are never followed, not even as the root.
 *
 * @param path the host path; as bytes where it is not UTF-8
 * @returns once everything is durable (with `session`: once the caller has committed)
 * @throws IngestPathError for what is wrong with the tree; CastoreError for what is wrong with the store
 */
export async function ingestPath(
  services: IngestServices,
  path: string | Uint8Array,
  options: IngestPathOptions = {},
): Promise<IngestPathResult> {
  const ingestion = new Ingestion(services, absolute(path), options)
  try {
    return await ingestion.run()
  } finally {
    await ingestion.close()
  }
}

/** The absolute form of a host path; `.` and `..` are resolved by name. */
export function absolute(path: string | Uint8Array): Buffer {
  const text =
    typeof path === 'string' ? Buffer.from(path).toString('latin1') : Buffer.from(path).toString('latin1')
  const cwd = Buffer.from(process.cwd()).toString('latin1')
  return Buffer.from(resolve(cwd, text), 'latin1')
}

class Ingestion {
  readonly #root: Buffer
  readonly #options: IngestPathOptions
  readonly #engine: EmbeddedStore | undefined
  readonly #session: WriteSession | undefined
  readonly #workers: FileWorkers
  readonly #slots: SlotAllowance
  readonly #content: ContentStore
  readonly #assembler: TreeAssembler
  readonly #records: FolderRecords | undefined
  readonly #directories: DirectoryService
  #putter: DirectoryPutter | undefined
  #files = 0
  #symlinks = 0
  #bytes = 0

  constructor(services: IngestServices, root: Buffer, options: IngestPathOptions) {
    this.#root = root
    this.#options = options
    this.#engine = engineOf(services.blobs)
    this.#session = this.#engine === undefined ? undefined : (options.session ?? this.#engine.write())
    this.#workers = options.workers ?? new FileWorkers(this.#engine)
    this.#slots = new SlotAllowance(this.#workers, this.#workers.count * SLOTS_PER_THREAD)
    this.#content = new ContentStore(services.blobs, this.#session, this.#slots)
    this.#directories = services.directories
    const records = this.#session !== undefined && options.fileCache !== false
    this.#records = records && this.#session !== undefined ? new FolderRecords(this.#session) : undefined
    this.#assembler = new TreeAssembler(() => this.#openPutter(), options.directorySizes ?? 'once')
  }

  async run(): Promise<IngestPathResult> {
    const batches = this.#batches()
    let ahead = batches.next()
    const take = (): Batch | undefined => {
      const batch = ahead.done === true ? undefined : ahead.value
      if (batch !== undefined) ahead = batches.next()
      return batch
    }
    const queue: Batch[] = []
    let batch = take()
    // A tree of one task is not worth a thread.
    const here = ahead.done === true
    while (batch !== undefined) {
      this.#options.signal?.throwIfAborted()
      if (!here) {
        await this.#dispatch(batch)
        while (queue.length < MAX_QUEUE && this.#slots.free > RESERVED_SLOTS) {
          const next = take()
          if (next === undefined) break
          await this.#dispatch(next)
          queue.push(next)
        }
      }
      await this.#consume(batch, here)
      this.#options.onProgress?.(this.#progress())
      await this.#session?.room()
      batch = queue.shift() ?? take()
    }
    return this.#finish()
  }

  async close(): Promise<void> {
    await this.#putter?.abort()
    await this.#content.settle()
    if (this.#options.workers === undefined) await this.#workers.close()
  }

  async #finish(): Promise<IngestPathResult> {
    await this.#content.settle()
    this.#content.check()
    const node = this.#assembler.root
    if (node === undefined) throw new Error('the walk ended before its root')
    if (this.#putter !== undefined) {
      const digest = await this.#putter.close()
      if (node.kind !== 'directory' || !digest.equals(node.digest))
        throw new Error('the putter gave another root')
    }
    if (this.#session !== undefined && this.#options.session === undefined) await this.#session.commit()
    const { newBytes, storedBytes } = this.#content
    return { node, ...this.#progress(), newBytes, storedBytes }
  }

  #progress(): IngestProgress {
    return {
      files: this.#files,
      directories: this.#assembler.directories,
      symlinks: this.#symlinks,
      bytes: this.#bytes,
    }
  }

  #openPutter(): DirectoryPutter {
    this.#putter ??=
      embeddedPutter(this.#directories, this.#engine, this.#session) ??
      this.#directories.putMultipleStart({ signal: this.#options.signal })
    return this.#putter
  }

  async #dispatch(batch: Batch, skip = 0): Promise<void> {
    if (batch.files === 0 || (batch.result !== undefined && skip === 0)) return
    batch.slot ??= await this.#slots.take()
    const result = this.#workers.run({
      type: 'read',
      paths: batch.paths,
      skip,
      slot: batch.slot,
      useFileCache: this.#useRecords,
    }) as Promise<ReadFilesResult>
    // Looked at when its turn comes.
    result.catch(() => undefined)
    batch.result = result
  }

  get #useRecords(): boolean {
    return this.#records !== undefined && this.#options.sink === undefined
  }

  async #readHere(batch: Batch, skip: number): Promise<ReadFilesResult> {
    batch.slot ??= await this.#slots.take()
    return this.#workers.runHere({
      type: 'read',
      paths: batch.paths,
      skip,
      slot: batch.slot,
      useFileCache: this.#useRecords,
    }) as ReadFilesResult
  }

  async #consume(batch: Batch, here: boolean): Promise<void> {
    let done = 0
    let files: readonly FileResult[] = []
    let failure: FileFailure | undefined
    let at = 0
    for (const step of batch.steps) {
      if (step.kind !== 'file') {
        await this.#step(step)
        continue
      }
      if (at === files.length) {
        if (failure !== undefined) throw failed(failure)
        if (done > 0) {
          this.#release(batch)
          if (!here) await this.#dispatch(batch, done)
        }
        const result: ReadFilesResult = here ? await this.#readHere(batch, done) : await batch.result!
        files = readFileResults(result)
        failure = result.failure
        if (files.length === 0)
          throw failure === undefined ? new Error('a task made no progress') : failed(failure)
        done += files.length
        at = 0
        this.#content.store(batch.slot!, files)
      }
      const large = this.#file(step, files[at++]!, batch.slot!)
      if (large !== undefined) await large
    }
    this.#release(batch)
  }

  #release(batch: Batch): void {
    if (batch.slot !== undefined) this.#content.releaseWhenStored(batch.slot)
    batch.slot = undefined
  }

  async #step(step: Exclude<WalkStep, { kind: 'file' }>): Promise<void> {
    const sink = this.#options.sink
    if (step.kind === 'leave') {
      sink?.directoryEnd()
      this.#records?.leave()
      await this.#assembler.leave()
      if (this.#assembler.root === undefined) sink?.entryEnd()
      return
    }
    if (step.name.length > 0) sink?.entry(step.name)
    if (step.kind === 'enter') {
      sink?.directoryStart()
      this.#assembler.enter(step.name)
      this.#records?.enter(step.path)
      return
    }
    this.#symlinks++
    sink?.symlink(step.target)
    if (step.name.length > 0) sink?.entryEnd()
    this.#assembler.add(step.name, { kind: 'symlink', target: SymlinkTarget.from(step.target) })
  }

  /** Takes one file; only a large one takes time. */
  #file(step: WalkStep & { kind: 'file' }, file: FileResult, slot: Slot): Promise<void> | undefined {
    const sink = this.#options.sink
    if (step.folder.length > 0) sink?.entry(step.name)
    sink?.file(file.executable, file.size)
    if (file.large) {
      const large = new LargeFile(
        childPath(step.folder, step.name),
        this.#workers,
        this.#slots,
        this.#content,
        sink,
      )
      return large
        .ingest(file, failed, () => this.#options.signal?.throwIfAborted())
        .then((result) => this.#fileDone(step, result))
    }
    if (sink !== undefined && file.size > 0) {
      sink.content(slot.raw.subarray(file.rawOffset, file.rawOffset + file.size))
    }
    this.#fileDone(step, file)
    return undefined
  }

  #fileDone(step: WalkStep & { kind: 'file' }, file: FileResult): void {
    const inFolder = step.folder.length > 0
    this.#options.sink?.fileEnd()
    if (inFolder) this.#options.sink?.entryEnd()
    this.#files++
    this.#bytes += file.size
    const digest = file.digest ?? B3Digest.EMPTY.bytes
    this.#assembler.add(inFolder ? step.name : NO_NAME, fileNode(digest, file.size, file.executable))
    if (inFolder) this.#records?.file(step.name, file)
  }

  *#batches(): Iterator<Batch> {
    let steps: WalkStep[] = []
    let paths: Uint8Array[] = []
    let files = 0
    let folder: Buffer | undefined
    const nul = Buffer.from([0])
    const cut = (): Batch => {
      if (folder !== undefined) paths.push(nul)
      const batch: Batch = { steps, files, paths: Buffer.concat(paths), slot: undefined, result: undefined }
      steps = []
      paths = []
      files = 0
      folder = undefined
      return batch
    }
    for (const step of walkTree(this.#root)) {
      steps.push(step)
      if (step.kind === 'file') {
        if (folder !== step.folder) {
          if (folder !== undefined) paths.push(nul)
          paths.push(step.folder, nul)
          folder = step.folder
        }
        paths.push(step.name, nul)
        files++
      }
      if (files === FILES_PER_TASK || steps.length === 4 * FILES_PER_TASK) yield cut()
    }
    if (steps.length > 0) yield cut()
  }
}

function failed(failure: FileFailure): IngestPathError {
  const path = displayPath(failure.path)
  switch (failure.kind) {
    case 'type':
      return new IngestPathError(
        'file-type',
        failure.path,
        `${path} is ${failure.message}: only regular files, directories and symlinks can be stored`,
      )
    case 'changed':
      return new IngestPathError(
        'file-changed',
        failure.path,
        `${path} changed while it was read: ${failure.message}`,
      )
    case 'stat':
      return new IngestPathError('stat', failure.path, `cannot look at ${path}: ${failure.message}`)
    default:
      return new IngestPathError('blob-read', failure.path, `cannot read ${path}: ${failure.message}`)
  }
}
