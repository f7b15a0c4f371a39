import { type B3Digest, Directory, SymlinkTarget } from '@neve/castore-model'
import type { EmbeddedStore, WriteSession } from '@neve/embedded-store'
import { engineOf } from '../blob/embedded.js'
import { type Slot, SlotAllowance } from '../concurrency/slot-threads.js'
import { embeddedPutter, SessionPutter } from '../directory/embedded.js'
import type { DirectoryPutter, DirectoryService } from '../directory-service.js'
import { ContentStore } from './content-store.js'
import { type BatchResult, type BatchStep, type FileBatch, walkBatches } from './file-batches.js'
import { encodeEntry } from './file-cache.js'
import {
  FILES_PER_TASK,
  type FileFailure,
  type PackFilesResult,
  type PackFilesTask,
  type ReadTreeResult,
  type ReadTreeTask,
} from './file-tasks-protocol.js'
import { FileWorkers } from './file-workers.js'
import type { IngestPathOptions, IngestPathResult, IngestProgress, IngestServices } from './filesystem.js'
import { displayPath, IngestPathError } from './filesystem-error.js'
import { childPath } from './filesystem-walk.js'
import { FolderRecords, isRecorded } from './folder-records.js'
import { LargeFile } from './large-file.js'
import { fileNode, TreeAssembler } from './tree-assembler.js'
import { type FileRun, runsOf } from './tree-results.js'

/** Slots of one ingestion: enough to keep the threads busy while results wait for their turn. */
const SLOTS_PER_THREAD = 5
/** So many slots are left for large files while tasks wait for their turn. */
const RESERVED_SLOTS = 2
const MAX_QUEUE = 16
/** So many tasks of a known tree are done here, if no more files than a task has are to be read: threads take longer to start. */
const KNOWN_TASKS = 256

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
  /** The folders that the walk is in, on the way down. */
  readonly #open: Uint8Array[] = []
  readonly #dispatched = new Set<FileBatch>()
  /** Whether the files are known from an earlier import. */
  #known = false
  /** How many files were read. */
  #read = 0
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
    this.#assembler = new TreeAssembler(
      (encoded) => this.#putDirectory(encoded),
      options.directorySizes ?? 'once',
    )
  }

  async run(): Promise<IngestPathResult> {
    await this.#content.prepare(this.#options.signal)
    this.#known = this.#useRecords && this.#engine !== undefined && isRecorded(this.#engine, this.#root)
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
    const isSmall = ahead.done === true
    if (!isSmall && !this.#known) {
      this.#workers.start(this.#content.framing === undefined ? this.#workers.readers.to : undefined)
      this.#options.sink?.start?.()
    }
    for (let done = 0; batch !== undefined; done++) {
      const here = isSmall || (this.#known && this.#read <= FILES_PER_TASK && done < KNOWN_TASKS)
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
      if (!(this.#putter instanceof SessionPutter)) await this.#session?.commit()
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

  #putDirectory(encoded: Uint8Array): B3Digest | Promise<B3Digest> {
    this.#putter ??=
      embeddedPutter(this.#directories, this.#engine, this.#session) ??
      this.#directories.putMultipleStart({ signal: this.#options.signal })
    if (this.#putter instanceof SessionPutter) return this.#putter.putEncoded(encoded)
    const directory = Directory.decode(encoded)
    return this.#putter.put(directory).then(() => directory.digest())
  }

  async #dispatch(batch: FileBatch, skip = 0): Promise<void> {
    if (batch.result !== undefined && skip === 0) return
    const task = await this.#taskOf(batch, skip)
    const reading = this.#workers.run(task, this.#workers.readers) as Promise<ReadTreeResult>
    const result = reading.then(async (read) => {
      const pack = this.#packTask(task.slot, read)
      const packing = pack && (this.#workers.run(pack, this.#workers.packers) as Promise<PackFilesResult>)
      return { read, packed: await packing }
    })
    // Looked at when its turn comes.
    result.catch(() => undefined)
    batch.result = result
  }

  async #taskOf(batch: FileBatch, skip: number): Promise<ReadTreeTask> {
    batch.slot ??= await this.#slots.take()
    this.#dispatched.add(batch)
    return {
      type: 'read',
      steps: batch.taskSteps,
      skip,
      folder: batch.folder,
      slot: batch.slot,
      tokens: this.#options.sink?.tokens,
      useFileCache: this.#useRecords,
      lookUp: this.#content.lookUp,
    }
  }

  /** What is to be made of contents that were read, if anything. */
  #packTask(slot: Slot, { contents, digests }: ReadTreeResult): PackFilesTask | undefined {
    const { framing, lookUp } = this.#content
    if (framing === undefined || contents.length === 0) return undefined
    return { type: 'pack-files', slot, contents, digests, lookUp, framing }
  }

  /** Reads and packs in this thread. */
  async #runHere(batch: FileBatch, skip: number): Promise<BatchResult> {
    const task = await this.#taskOf(batch, skip)
    const read = this.#workers.runHere(task) as ReadTreeResult
    const pack = this.#packTask(task.slot, read)
    return { read, packed: pack && (this.#workers.runHere(pack) as PackFilesResult) }
  }

  get #useRecords(): boolean {
    return this.#records !== undefined && this.#options.sink === undefined
  }

  async #consume(batch: FileBatch, here: boolean): Promise<void> {
    let result: ReadTreeResult | undefined
    let runs: Iterator<FileRun> = [].values()
    const next = async (): Promise<void> => {
      result = await this.#next(batch, here, result)
      runs = runsOf(result)
    }
    for (const step of batch.steps) {
      if (step.kind !== 'files') {
        await this.#step(step)
        continue
      }
      for (let left = step.count; left > 0; ) {
        const run = runs.next()
        if (run.done === true) {
          await next()
          continue
        }
        left -= run.value.files
        if (run.value.large === undefined) this.#addFiles(run.value)
        else await this.#addLarge(run.value, result!, batch.slot!)
      }
    }
    while (result === undefined || result.steps < batch.count) await next()
    this.#release(batch)
  }

  /** The next results of a batch, whose contents it has stored. */
  async #next(batch: FileBatch, here: boolean, last: ReadTreeResult | undefined): Promise<ReadTreeResult> {
    if (last?.failure !== undefined) throw failed(last.failure)
    const done = last?.steps ?? 0
    if (last !== undefined) {
      this.#release(batch)
      if (!here) await this.#dispatch(batch, done)
    }
    // What is known takes less time than waiting for a thread to come to it. What is not would be compiled once more.
    if (this.#known && batch.slot !== undefined) this.#workers.hurry(batch.slot)
    const { read, packed } = here ? await this.#runHere(batch, done) : await batch.result!
    if (read.steps === done) {
      throw read.failure === undefined ? new Error('a task made no progress') : failed(read.failure)
    }
    const slot = batch.slot!
    this.#read += read.contents.length / 2
    this.#content.store(slot, read, packed)
    this.#stream(read, slot, 0)
    return read
  }

  /** Hands on the stream of a result, from `at` to the next large file or the end. */
  #stream(result: ReadTreeResult, slot: Slot, at: number): void {
    if (this.#options.sink === undefined) return
    let end = result.streamed
    for (const { large } of runsOf(result)) {
      if (large === undefined || large.at <= at) continue
      end = large.at
      break
    }
    this.#write(slot.raw.subarray(at, end), slot)
  }

  #write(bytes: Uint8Array, slot: Slot): void {
    const { sink } = this.#options
    if (sink !== undefined) this.#content.hold(slot, sink.write(bytes))
  }

  #release(batch: FileBatch): void {
    if (batch.slot !== undefined) this.#content.releaseWhenStored(batch.slot)
    batch.slot = undefined
    this.#dispatched.delete(batch)
  }

  async #step(step: Exclude<BatchStep, { kind: 'files' }>): Promise<void> {
    if (step.kind === 'leave') {
      this.#open.pop()
      this.#records?.leave()
      await this.#assembler.leave()
      return
    }
    const name = Buffer.from(step.name, 'latin1')
    if (step.kind === 'enter') {
      this.#open.push(step.path)
      this.#assembler.enter(name)
      this.#records?.enter(step.path)
      return
    }
    this.#symlinks++
    this.#assembler.add(name, { kind: 'symlink', target: SymlinkTarget.from(step.target) })
  }

  #addFiles(run: FileRun): void {
    this.#files += run.files
    this.#bytes += run.bytes
    this.#assembler.addFiles(run.elements, run.files)
    this.#records?.run(run)
  }

  async #addLarge(run: FileRun, result: ReadTreeResult, slot: Slot): Promise<void> {
    const { bytes: size, elements: name, large } = run
    const { executable, at } = large!
    const folder = this.#open.at(-1)
    const path = folder === undefined ? this.#root : childPath(folder, name)
    const stream = (bytes: Uint8Array, from: Slot): void => this.#write(bytes, from)
    const file = new LargeFile(path, this.#workers, this.#slots, this.#content, stream)
    const check = (): void => this.#options.signal?.throwIfAborted()
    const { digest, seen } = await file.ingest({ size, executable }, failed, check)
    this.#stream(result, slot, at)
    this.#files++
    this.#bytes += size
    this.#assembler.add(name, fileNode(digest, size, executable))
    if (seen === undefined) return
    const entries = encodeEntry(name, size, executable, digest, seen)
    this.#records?.run({ entries, entryCount: 1, device: seen.device, read: true })
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
