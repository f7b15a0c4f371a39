import { B3Digest, type FileNode, type Node } from '@neve/castore-model'
import {
  type BlobService,
  BlobTooLargeError,
  blobStream,
  CastoreError,
  DataLossError,
  mapOrdered,
} from '@neve/castore-services'
import {
  CONTENT_TASK_BYTES,
  type ContentFailure,
  type ContentTask,
  ContentThreads,
  type FrameCheck,
  type SharedTask,
  type Slot,
} from '@neve/castore-services/blob/content-threads'
import { decodeChunkList, engineOf } from '@neve/castore-services/blob/embedded'
import type { EmbeddedStore } from '@neve/embedded-store'
import { type NarBatch, planBatches } from './nar-batches.js'
import {
  absent,
  type NarPiece,
  type NarPlanServices,
  type NarStep,
  planSteps,
  wrongSize,
} from './nar-plan.js'
import type { NarPlans } from './nar-plans.js'
import { SlotsAhead } from './slots-ahead.js'
import { StepEncoder } from './step-encoder.js'

/** Where {@link renderNar} takes content from. */
export type NarServices = NarPlanServices

/** Options of {@link renderNar}. */
export interface RenderNarOptions {
  readonly signal?: AbortSignal | undefined
  /** Threads to share between renderings from one embedded store. Default: threads of its own, if they pay. */
  readonly threads?: ContentThreads | undefined
  /** What renderings from one embedded store plan once for all of them. Default: each plans anew. */
  readonly plans?: NarPlans | undefined
}

/** Steps of which small files are fetched ahead from a service; a file is several steps. */
const FETCHED_AHEAD = 64
/** The largest file that is fetched ahead whole, in bytes: what is held at most is bounded by both. */
const MAX_FETCHED_AHEAD = 256n * 1024n

/** With more renderings than this their tasks are smaller, in bytes: clients that do not read keep what was made for them. */
const CROWD = 16
const CROWDED_TASK = 128 * 1024

/** How many slots one rendering has: what it holds of content at most. */
const SLOTS = 5

/**
 * Renders the NAR of a node (spec 07 section 8.2): depth first, with memory for the directories on the way down and a
 * few MiB of content. Content is verified before it is delivered. Each piece may be read until the next is asked for, and
 * never changed: other renderings of the same node may be handed the same memory.
 *
 * @throws StoreError `directory-not-found`, `blob-not-found`, `wrong-size`; DataLossError; errors of the services. What
 *   was delivered before is to be thrown away.
 */
export async function* renderNar(
  services: NarServices,
  node: Node,
  options: RenderNarOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const engine = engineOf(services.blobs)
  if (engine !== undefined) yield* renderFromEngine(engine, services, node, options)
  else yield* renderFromService(services.blobs, planSteps(services, engine, node, options.signal), options)
}

/** Small files are fetched ahead, since each may be a round trip; large ones are streamed when their turn comes. */
async function* renderFromService(
  blobs: BlobService,
  source: AsyncIterable<readonly NarStep[]>,
  { signal }: RenderNarOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const output = new NarOutput()
  const fetch = async (step: NarStep, stop: AbortSignal): Promise<{ step: NarStep; whole?: Uint8Array }> =>
    step.kind === 'file' && step.node.size <= MAX_FETCHED_AHEAD
      ? { step, whole: await wholeFile(blobs, step.node, stop) }
      : { step }
  for await (const { step, whole } of mapOrdered(singly(source), FETCHED_AHEAD, fetch, { signal })) {
    output.step(step)
    if (step.kind !== 'file') {
      if (output.ready) yield* output.take()
    } else if (whole !== undefined) {
      output.content(whole)
      yield* output.take()
    } else {
      await using reader = await blobs.open(step.node.digest, { signal, sizeHint: step.node.size })
      if (reader === undefined) throw absent(step.node, step.node.digest, '')
      if (reader.size !== step.node.size) throw wrongSize(step.node, reader.size)
      for await (const piece of blobStream(reader, { signal })) {
        output.content(piece)
        yield* output.take()
      }
    }
  }
  yield* output.finish()
}

async function* singly(source: AsyncIterable<readonly NarStep[]>): AsyncGenerator<NarStep, void, undefined> {
  for await (const steps of source) yield* steps
}

async function wholeFile(blobs: BlobService, file: FileNode, signal: AbortSignal): Promise<Uint8Array> {
  if (isEmpty(file)) return new Uint8Array(0)
  let content: Uint8Array | undefined
  try {
    content = await blobs.get(file.digest, { signal, sizeHint: file.size })
  } catch (error) {
    if (error instanceof BlobTooLargeError) throw wrongSize(file, error.size)
    throw error
  }
  if (content === undefined) throw absent(file, file.digest, '')
  if (BigInt(content.length) !== file.size) throw wrongSize(file, BigInt(content.length))
  return content
}

/**
 * Content is put between the rest of the NAR where it is read: what comes back from a task is a stretch of the NAR.
 *
 * @param frames makes it a zstd stream of the stored frames, verified so
 */
export async function* renderFromEngine(
  engine: EmbeddedStore,
  services: NarServices,
  node: Node,
  options: RenderNarOptions,
  frames?: FrameCheck,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { signal, plans } = options
  const threads = options.threads ?? new ContentThreads(engine)
  const slots = new SlotsAhead(threads, SLOTS)
  const name = `${nameOf(node)} ${frames}`
  const group = threads.shared.join(name)
  const held = new Set<SharedTask>()
  let started = 0
  threads.renderings++
  const load = async ({ batch, key, before }: KeyedBatch, stop: AbortSignal): Promise<Loaded> => {
    await slots.take(stop)
    // What fits one task is not worth a thread.
    const here = started++ === 0 || batch.sizes.length === 0
    const task = group.take(key, (slot) => {
      const content = contentTask(slot, batch, frames)
      return here ? threads.runHere(content) : threads.run(content)
    })
    held.add(task)
    const { failure, length } = await task.result
    if (failure !== undefined) {
      // Whatever it was, the next one looks anew.
      plans?.forget(name)
      const piece = await pieceAt(planSteps(services, engine, node, signal), before + failure.index)
      throw failed(engine, piece, batch, failure)
    }
    return { task, length }
  }
  const giveBack = (task: SharedTask): void => {
    group.give(task)
    slots.give()
  }
  try {
    const lengthOf = frames === undefined ? undefined : (piece: NarPiece) => frameLength(engine, piece)
    let wasCrowded = false
    const most = () => {
      if (threads.renderings <= CROWD) return CONTENT_TASK_BYTES
      wasCrowded = true
      return CROWDED_TASK
    }
    const plan = () => planBatches(planSteps(services, engine, node, signal), { lengthOf, most })
    const fits =
      plans?.has(name) !== true || (most() === CONTENT_TASK_BYTES && (await isThere(services, node)))
    const batches = fits ? plans?.batches(name, plan, () => !wasCrowded) : undefined
    for await (const { task, length } of mapOrdered(keyed(batches ?? plan()), SLOTS - 1, load, { signal })) {
      if (length > 0) yield task.slot.raw.subarray(0, length)
      held.delete(task)
      giveBack(task)
    }
  } finally {
    // However the rendering ended, no task runs any more.
    for (const task of held) giveBack(task)
    group.leave()
    threads.renderings--
    if (options.threads === undefined) await threads.close()
  }
}

interface Loaded {
  readonly task: SharedTask
  readonly length: number
}

/** A batch, and what it is called in all renderings of the node. */
interface KeyedBatch {
  readonly batch: NarBatch
  readonly key: string
  /** How many pieces come before it. */
  readonly before: number
}

/** By where each begins and ends: renderings may be cut differently. */
async function* keyed(batches: AsyncIterable<NarBatch>): AsyncGenerator<KeyedBatch, void, undefined> {
  let pieces = 0
  let literal = 0
  for await (const batch of batches) {
    const key = `${pieces} ${literal} ${batch.sizes.length} ${batch.literal.length}`
    const before = pieces
    pieces += batch.sizes.length
    literal += batch.literal.length
    yield { batch, key, before }
  }
}

/** The same for nodes that have the same NAR. */
function nameOf(node: Node): string {
  if (node.kind === 'directory') return `directory ${node.digest}`
  if (node.kind === 'file') return `file ${node.digest} ${node.size} ${node.executable}`
  return `symlink ${Buffer.from(node.target.bytes).toString('hex')}`
}

/** Pieces from this size on are looked up before they are read, in bytes: of smaller ones many fit a task in any case. */
const LOOKED_UP = 64 * 1024

/**
 * What a stored frame takes: with tasks of about 1 MiB of frames, not of what they expand to, a stream has few of them.
 * Room for the largest piece is kept, so that one that was stored anew meanwhile fits.
 */
function frameLength(engine: EmbeddedStore, { digest, size }: NarPiece): number {
  if (size < LOOKED_UP) return size
  return Math.max(engine.locate(digest.bytes)?.storedLength ?? size, size / MOST_EXPANDED)
}

/** How much of expanded content a task may have for each byte of its frames. */
const MOST_EXPANDED = 16

function contentTask(
  slot: Slot,
  { digests, sizes, literal, gaps }: NarBatch,
  frames: FrameCheck | undefined,
): ContentTask {
  slot.packed.set(literal)
  return { slot, digests, sizes, gaps, literalLength: literal.length, frames }
}

/** Whether the root of a plan is still there: what is collected is not served from memory. */
async function isThere({ blobs, directories }: NarServices, node: Node): Promise<boolean> {
  if (node.kind === 'symlink') return true
  if (node.kind === 'file') return blobs.has(node.digest)
  return (await directories.get(node.digest)) !== undefined
}

/** One piece of a NAR, by its number; undefined where there are not so many. */
async function pieceAt(
  source: AsyncIterable<readonly NarStep[]>,
  number: number,
): Promise<NarPiece | undefined> {
  let left = number
  for await (const steps of source) {
    for (const step of steps) if (step.kind === 'piece' && left-- === 0) return step
  }
  return undefined
}

/** @param piece that the batch was made of, unless the store has changed since */
function failed(
  engine: EmbeddedStore,
  piece: NarPiece | undefined,
  batch: NarBatch,
  failure: ContentFailure,
): Error {
  const backend = `embedded:${engine.path}`
  const wanted = B3Digest.from(batch.digests.slice(failure.index * 32, failure.index * 32 + 32))
  if (piece === undefined || !piece.digest.equals(wanted)) {
    return new DataLossError(wanted, backend, `${wanted}: ${failure.detail}`)
  }
  const { file, digest } = piece
  if (failure.kind === 'damaged')
    return new DataLossError(file.digest, backend, `${digest}: ${failure.detail}`)
  if (failure.kind === 'failed')
    return new CastoreError('storage', `cannot read ${digest}: ${failure.detail}`)
  if (!digest.equals(file.digest)) {
    return failure.kind === 'missing'
      ? absent(file, digest, backend)
      : new DataLossError(file.digest, backend, `chunk ${digest} has ${failure.detail}`)
  }
  // The node may lie about the size of a blob that is there, whole or in chunks.
  const list = engine.get('blobs', file.digest.bytes)
  const location = engine.locate(file.digest.bytes)
  if (list !== undefined) {
    const chunks = decodeChunkList(file.digest, list, backend)
    return wrongSize(
      file,
      chunks.reduce((sum, chunk) => sum + chunk.size, 0n),
    )
  }
  if (location !== undefined) return wrongSize(file, BigInt(location.rawLength))
  return digest.equals(B3Digest.EMPTY) ? wrongSize(file, 0n) : absent(file, digest, backend)
}

function isEmpty(file: FileNode): boolean {
  return file.size === 0n && file.digest.equals(B3Digest.EMPTY)
}

/** Turns steps into the bytes of a NAR, in buffers that are used again once the caller is done with them. */
class NarOutput {
  #ready: Uint8Array[] = []
  readonly #free: Uint8Array[] = []
  #given: Uint8Array[] = []
  readonly #steps = new StepEncoder((chunk) => this.#ready.push(chunk), {
    allocate: (length) => {
      const buffer = this.#free.pop() ?? new Uint8Array(length)
      this.#given.push(buffer)
      return buffer
    },
  })

  get ready(): boolean {
    return this.#ready.length > 0
  }

  step(step: NarStep): void {
    this.#steps.step(step)
  }

  content(bytes: Uint8Array): void {
    this.#steps.encoder.content(bytes)
  }

  *take(): Iterable<Uint8Array> {
    const ready = this.#ready
    if (ready.length === 0) return
    this.#ready = []
    yield* ready
    // The caller is done with all of them; the last is the one that the encoder fills now.
    this.#free.push(...this.#given.splice(0, this.#given.length - 1))
  }

  *finish(): Iterable<Uint8Array> {
    this.#steps.encoder.finish()
    yield* this.take()
  }
}
