import { B3Digest, SymlinkTarget } from '@neve/castore-model'
import type { EmbeddedStore, WriteSession } from '@neve/embedded-store'
import { engineOf } from '../blob/embedded.js'
import { type Slot, SlotAllowance } from '../concurrency/slot-threads.js'
import { embeddedPutter } from '../directory/embedded.js'
import type { DirectoryPutter, DirectoryService } from '../directory-service.js'
import { ContentStore } from './content-store.js'
import { type FileBatch, walkBatches } from './file-batches.js'
import { readFileResults } from './file-results.js'
import type { FileFailure, FileResult, ReadFilesResult } from './file-tasks-protocol.js'
import { FileWorkers } from './file-workers.js'
import type { IngestPathOptions, IngestPathResult, IngestProgress, IngestServices } from './filesystem.js'
import { displayPath, IngestPathError } from './filesystem-error.js'
import { childPath, type WalkStep } from './filesystem-walk.js'
import { FolderRecords, isRecorded } from './folder-records.js'
import { LargeFile } from './large-file.js'
import { fileNode, TreeAssembler } from './tree-assembler.js'

/** Slots of one ingestion: enough to keep the threads busy while results wait for their turn. */
const SLOTS_PER_THREAD = 5
/** So many slots are left for large files while tasks wait for their turn. */
const RESERVED_SLOTS = 2
const MAX_QUEUE = 16
const NO_NAME = Buffer.alloc(0)

/** One run of {@link ingestPath}: hands stretches of the walk to threads, and takes their results in order. */
export class Ingestion {
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
  readonly #dispatched = new Set<FileBatch>()
  #sharesSession = false
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
    // Files that are known take so little time that a thread less, which need not start, is faster.
    const known = this.#useRecords && this.#engine !== undefined && isRecorded(this.#engine, this.#root)
    this.#workers.limit = this.#workers.count - (known ? 1 : 0)
    const batches = walkBatches(this.#root)
    let ahead = batches.next()
    const take = (): FileBatch | undefined => {
      const batch = ahead.done === true ? undefined : ahead.value
      if (batch !== undefined) ahead = batches.next()
      return batch
    }
    const queue: FileBatch[] = []
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
    this.#content.abort(new Error('the ingestion has ended'))
    await this.#putter?.abort()
    if (this.#options.workers !== undefined) {
      // What was under way when this failed: its slots belong to whoever uses the threads next.
      for (const batch of this.#dispatched) {
        await batch.result?.catch(() => undefined)
        this.#release(batch)
      }
    }
    await this.#content.settle()
    if (this.#options.workers === undefined) await this.#workers.close()
  }

  async #finish(): Promise<IngestPathResult> {
    await this.#content.settle()
    this.#content.check()
    const node = this.#assembler.root
    if (node === undefined) throw new Error('the walk ended before its root')
    if (this.#putter !== undefined) {
      // Directories that are stored elsewhere must not be there before their contents.
      if (!this.#sharesSession) await this.#session?.commit()
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
    if (this.#putter !== undefined) return this.#putter
    const shared = embeddedPutter(this.#directories, this.#engine, this.#session)
    this.#sharesSession = shared !== undefined
    this.#putter = shared ?? this.#directories.putMultipleStart({ signal: this.#options.signal })
    return this.#putter
  }

  async #dispatch(batch: FileBatch, skip = 0): Promise<void> {
    if (batch.files === 0 || (batch.result !== undefined && skip === 0)) return
    batch.slot ??= await this.#slots.take()
    this.#dispatched.add(batch)
    const result = this.#workers.run({
      type: 'read',
      paths: batch.paths,
      skip,
      slot: batch.slot,
      useFileCache: this.#useRecords,
      lookUp: this.#content.lookUp,
      framing: this.#content.framing,
    }) as Promise<ReadFilesResult>
    // Looked at when its turn comes.
    result.catch(() => undefined)
    batch.result = result
  }

  get #useRecords(): boolean {
    return this.#records !== undefined && this.#options.sink === undefined
  }

  async #readHere(batch: FileBatch, skip: number): Promise<ReadFilesResult> {
    batch.slot ??= await this.#slots.take()
    this.#dispatched.add(batch)
    return this.#workers.runHere({
      type: 'read',
      paths: batch.paths,
      skip,
      slot: batch.slot,
      useFileCache: this.#useRecords,
      lookUp: this.#content.lookUp,
      framing: this.#content.framing,
    }) as ReadFilesResult
  }

  async #consume(batch: FileBatch, here: boolean): Promise<void> {
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
        // Where no thread has come to it yet, waiting would take longer.
        if (batch.slot !== undefined) this.#workers.hurry(batch.slot)
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

  #release(batch: FileBatch): void {
    if (batch.slot !== undefined) this.#content.releaseWhenStored(batch.slot)
    batch.slot = undefined
    this.#dispatched.delete(batch)
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
