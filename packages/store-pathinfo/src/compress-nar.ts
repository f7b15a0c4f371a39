import type { Node } from '@neve/castore-model'
import type { FrameCheck } from '@neve/castore-services/blob/content-threads'
import { engineOf } from '@neve/castore-services/blob/embedded'
import { zstdFrames } from '@neve/castore-services/blob/zstd-frames'
import { type NarServices, type RenderNarOptions, renderFromEngine, renderNar } from './render-nar.js'

/** Options of {@link compressNar}. */
export interface CompressNarOptions extends RenderNarOptions {
  /**
   * How stored frames are verified before they leave: see {@link FrameCheck}. What has to be compressed is compared
   * with its digests in any case. Default: `checksum`.
   */
  readonly check?: FrameCheck | undefined
}

/**
 * The NAR of a node as a zstd stream, a `.nar.zst`. Where blobs lie in an embedded store, their frames are passed on as
 * they are stored, with frames of plain bytes between for what is not compressed (DESIGN decision 19): nothing is
 * compressed or expanded. Otherwise the NAR is rendered, and compressed in threads.
 *
 * The stream is a row of frames, each with the length of its content in its header, none with a window of more than
 * 1 MiB. Its length is not known before it ends. Whoever receives it should compare size and SHA-256 of the NAR with
 * those that a narinfo has.
 *
 * @returns pieces of up to 2 MiB; each may be read until the next is asked for, and never changed (see {@link renderNar})
 * @throws as {@link renderNar}; what was delivered before is to be thrown away
 */
export async function* compressNar(
  services: NarServices,
  node: Node,
  options: CompressNarOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const engine = engineOf(services.blobs)
  if (engine === undefined) {
    yield* zstdFrames(renderNar(services, node, options), { signal: options.signal })
    return
  }
  yield* renderFromEngine(engine, services, node, options, options.check ?? 'checksum')
}
