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
  type ContentFailure,
  ContentThreads,
  type Slot,
  SlotAllowance,
} from '@neve/castore-services/blob/content-threads'
import { decodeChunkList, engineOf } from '@neve/castore-services/blob/embedded'
import type { EmbeddedStore } from '@neve/embedded-store'
import { NarEncoder } from '@neve/nar'
import {
  absent,
  type NarBatch,
  type NarPlanServices,
  type NarStep,
  planBatches,
  planSteps,
  wrongSize,
} from './nar-plan.js'

/** Where {@link renderNar} takes content from. */
export type NarServices = NarPlanServices

/** Options of {@link renderNar}. */
export interface RenderNarOptions {
  readonly signal?: AbortSignal | undefined
  /** Threads to share between renderings from one embedded store. Default: threads of its own, if they pay. */
  readonly threads?: ContentThreads | undefined
}

/** Nix reads NARs of any depth up to its own limits: what is in the store can be rendered. */
export const MAX_NAR_DEPTH = 1_000_000

/** Steps of which small files are fetched ahead from a service; a file is several steps. */
const FETCHED_AHEAD = 64
/** The largest file that is fetched ahead whole, in bytes: what is held at most is bounded by both. */
const MAX_FETCHED_AHEAD = 256n * 1024n

/** How many slots one rendering has: what it holds of content at most. */
const SLOTS = 5

/**
 * Renders the NAR of a node (spec 07 section 8.2): depth first, with memory for the directories on the way down and a
 * few MiB of content. Content is verified before it is delivered. Each piece belongs to the caller until it asks for
 * the next.
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
  const output = new NarOutput()
  const steps = planSteps(services, engine, node, options.signal)
  if (engine === undefined) yield* renderFromService(services.blobs, steps, output, options)
  else yield* renderFromEngine(engine, steps, output, options)
  yield* output.finish()
}

/** Small files are fetched ahead, since each may be a round trip; large ones are streamed when their turn comes. */
async function* renderFromService(
  blobs: BlobService,
  source: AsyncIterable<readonly NarStep[]>,
  output: NarOutput,
  { signal }: RenderNarOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
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

async function* renderFromEngine(
  engine: EmbeddedStore,
  source: AsyncIterable<readonly NarStep[]>,
  output: NarOutput,
  options: RenderNarOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const threads = options.threads ?? new ContentThreads(engine)
  const slots = new SlotAllowance(threads, SLOTS)
  const held = new Set<Slot>()
  let started = 0
  const load = async (batch: NarBatch): Promise<{ batch: NarBatch; slot: Slot }> => {
    const slot = await slots.take()
    held.add(slot)
    const task = { slot, digests: batch.digests, sizes: batch.sizes }
    // What fits one task is not worth a thread.
    const here = started++ === 0 || batch.sizes.length === 0
    const result = here ? threads.runHere(task) : await threads.run(task)
    if (result.failure !== undefined) throw failed(engine, batch, result.failure)
    return { batch, slot }
  }
  try {
    const { signal } = options
    for await (const { batch, slot } of mapOrdered(planBatches(source), SLOTS - 1, load, { signal })) {
      let at = 0
      for (const step of batch.steps) {
        output.step(step)
        if (step.kind !== 'piece') continue
        output.content(slot.raw.subarray(at, at + step.size))
        at += step.size
        if (output.ready) yield* output.take()
      }
      yield* output.take()
      held.delete(slot)
      slots.give(slot)
    }
  } finally {
    // However the rendering ended, no task runs any more.
    for (const slot of held) slots.give(slot)
    if (options.threads === undefined) await threads.close()
  }
}

function failed(engine: EmbeddedStore, batch: NarBatch, failure: ContentFailure): Error {
  const backend = `embedded:${engine.path}`
  const pieces = batch.steps.filter((step) => step.kind === 'piece')
  const { file, digest } = pieces[failure.index]!
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
  #depth = 0
  readonly #free: Uint8Array[] = []
  #given: Uint8Array[] = []
  readonly #encoder = new NarEncoder((chunk) => this.#ready.push(chunk), {
    maxDepth: MAX_NAR_DEPTH,
    allocate: (length) => {
      const buffer = this.#free.pop() ?? new Uint8Array(length)
      this.#given.push(buffer)
      return buffer
    },
  })

  constructor() {
    this.#encoder.start()
  }

  get ready(): boolean {
    return this.#ready.length > 0
  }

  step(step: NarStep): void {
    const encoder = this.#encoder
    switch (step.kind) {
      case 'entry':
        encoder.entry(step.name)
        return
      case 'file':
        encoder.fileHeader(step.node.executable, step.node.size)
        return
      case 'piece':
        return
      case 'file-end':
        encoder.fileEnd()
        break
      case 'symlink':
        encoder.symlink(step.target)
        break
      case 'enter':
        encoder.directoryStart()
        this.#depth++
        return
      case 'leave':
        encoder.directoryEnd()
        this.#depth--
        break
    }
    if (this.#depth > 0) encoder.entryEnd()
  }

  content(bytes: Uint8Array): void {
    this.#encoder.content(bytes)
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
    this.#encoder.finish()
    yield* this.take()
  }
}
