import { B3Digest, type Node } from '@neve/castore-model'
import { engineOf } from '../blob/embedded.js'
import type { BlobService } from '../blob-service.js'
import type { CallOptions } from '../call-options.js'
import { sharedController } from '../concurrency/shared-controller.js'
import type { DirectoryService } from '../directory-service.js'
import { CastoreError } from '../errors.js'
import { BlobCopy, type BlobCopyState } from './blob-copy.js'
import { MissingDirectories } from './missing-directories.js'
import { rootNode } from './root-node.js'
import { uploadDirectories } from './upload-directories.js'
import { WholeClosures } from './whole-closures.js'

/** One side of a copy. */
export interface CopyServices {
  readonly blobs: BlobService
  readonly directories: DirectoryService
}

/** How far a copy has come. Sizes are in bytes. */
export interface CopyProgress {
  /** Directories that the target lacks, as far as they are known. */
  readonly directories: number
  /** Different blobs that these mention, as far as they are known. */
  readonly blobs: number
  /** Their bytes. */
  readonly bytes: number
  /** Whether all is known: then the three above do not change any more. */
  readonly complete: boolean
  /** Of `blobs`, those that are at the target by now. */
  readonly doneBlobs: number
  /** Of `bytes`, those that are at the target by now. */
  readonly doneBytes: number
}

/** What {@link copyClosure} did. Sizes are in bytes. */
export interface CopyResult {
  /** The root, with its size where the root was given as a digest. */
  readonly node: Node
  /** Directories that were copied. */
  readonly directories: number
  /** Different blobs that were copied. */
  readonly blobs: number
  /** Bytes of these blobs. */
  readonly bytes: number
  /** Of these bytes, those that were read from the source; the others were in chunks that the target had. */
  readonly readBytes: number
  /** Different blobs of the copied directories that were at the target before. */
  readonly presentBlobs: number
}

/** Options of {@link copyClosure}. */
export interface CopyClosureOptions extends CallOptions {
  /** Lookups and small blobs under way at once, 1 to 4096. Default: 64. */
  readonly concurrency?: number | undefined
  /** Called often: keep it short. */
  readonly onProgress?: ((progress: CopyProgress) => void) | undefined
  /**
   * Look below directories that the target has, too, for what is missing there. Default: false, a directory that is
   * present stands for everything below it.
   */
  readonly thorough?: boolean | undefined
  /**
   * Copy blobs that the target has, too: storing one anew heals it where it is damaged (DESIGN decision 10), and chunks
   * that are sound are not read from the source with `reuseChunks`. Default: false.
   */
  readonly heal?: boolean | undefined
  /** What is known already of the target, when it is an embedded store, with `thorough`. Default: nothing. */
  readonly whole?: WholeClosures | undefined
  /**
   * Take chunks that the target has from the target, where both sides know the pieces of a blob. It pays where the
   * target is nearer than the source. Default: whether the target's blobs are in an embedded store.
   */
  readonly reuseChunks?: boolean | undefined
}

const MAX_CONCURRENCY = 4096

/**
 * Copies a tree or a blob with everything below it. Only what the target lacks travels.
 *
 * The target is asked for directories from the root downwards, a level at a time. One that is there ends the walk: who
 * stores in the order of DESIGN decision 10 (blobs, then directories, leaves first) stores a directory only when
 * everything below it is there, and every writer of this library does so. `thorough` looks below all the same. Of the
 * directories that are missing, each different blob is asked for once, and copied when it is missing. What is read was
 * verified by the source, and what the target stored is compared with what was asked for.
 *
 * Directories are stored last, when all blobs are: so whatever interrupts a copy, the target has nothing that lacks
 * something below it, and the same call goes on where it ended, by blobs.
 *
 * Memory: at most 16 MiB of small blobs, some MiB for each of four large ones, and the encoded form of
 * the directories that are missing; the target may hold these as well until they are complete.
 *
 * @param root a node, or the digest of a directory or blob
 * @returns once everything is durable at the target
 * @throws DataLossError when something below the root is missing or damaged at the source, CastoreError `not-found` when
 *   neither side has the root itself, `invalid-input` for an option, `size` when a blob has another length than its node
 *   says; errors of the services; the signal's reason
 */
export async function copyClosure(
  { from, to }: { readonly from: CopyServices; readonly to: CopyServices },
  root: B3Digest | Node,
  options: CopyClosureOptions = {},
): Promise<CopyResult> {
  const { concurrency = 64, onProgress, thorough = false, heal = false, signal } = options
  const { reuseChunks = engineOf(to.blobs) !== undefined } = options
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > MAX_CONCURRENCY) {
    throw new CastoreError(
      'invalid-input',
      `invalid concurrency: expected an integer from 1 to ${MAX_CONCURRENCY}, got ${concurrency}`,
    )
  }
  signal?.throwIfAborted()
  const controller = sharedController()
  const onAbort = (): void => controller.abort(signal?.reason)
  signal?.addEventListener('abort', onAbort, { once: true })
  const stop = { signal: controller.signal }
  try {
    const node = root instanceof B3Digest ? await rootNode({ from, to }, root, stop) : root
    const whole = thorough ? (options.whole ?? WholeClosures.of(to)) : undefined
    const walk = new MissingDirectories(
      { from: from.directories, to: to.directories },
      concurrency,
      thorough,
      whole,
    )
    const tell = (done: BlobCopyState): void =>
      onProgress?.({ directories: walk.missing.size, complete: walk.complete, ...done })
    const blobs = { from: from.blobs, to: to.blobs }
    const copy = new BlobCopy(blobs, { concurrency, reuseChunks, heal, whole }, tell)
    const both = [walk.run(node, stop), copy.run(walk.files(node), stop)]
    // Whichever fails stops the other.
    for (const one of both) one.catch((error: unknown) => controller.abort(error))
    await settled(both)
    signal?.throwIfAborted()
    if (node.kind === 'directory') await uploadDirectories({ from, to }, node.digest, walk, stop)
    return {
      node,
      directories: walk.missing.size,
      blobs: copy.copiedBlobs,
      bytes: copy.copiedBytes,
      readBytes: copy.readBytes,
      presentBlobs: copy.presentBlobs,
    }
  } catch (error) {
    signal?.throwIfAborted()
    throw controller.signal.aborted ? controller.signal.reason : error
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}

/** Waits for all; throws the first failure when nothing runs any more. */
async function settled(running: readonly Promise<void>[]): Promise<void> {
  let failure: { readonly error: unknown } | undefined
  const note = (error: unknown): void => {
    failure ??= { error }
  }
  await Promise.all(running.map((one) => one.catch(note)))
  if (failure !== undefined) throw (failure as { readonly error: unknown }).error
}
