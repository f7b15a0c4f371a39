import { createHash } from 'node:crypto'
import { blake3, encodeNode, type Node } from '@neve/castore-model'
import { engineOf } from '@neve/castore-services/blob/embedded'
import { type EmbeddedStore, EmbeddedStoreError, type WriteSession } from '@neve/embedded-store'
import { type NarServices, type RenderNarOptions, renderNar } from './render-nar.js'

/** What identifies a NAR. */
export interface NarMeasure {
  /** Length in bytes. */
  readonly narSize: bigint
  readonly narSha256: Uint8Array
}

/** Renders a NAR only to measure it (spec 07 section 8.3). */
export async function calculateNar(
  services: NarServices,
  node: Node,
  options: RenderNarOptions = {},
): Promise<NarMeasure> {
  const hash = createHash('sha256')
  let narSize = 0n
  for await (const piece of renderNar(services, node, options)) {
    hash.update(piece)
    narSize += BigInt(piece.length)
  }
  return { narSize, narSha256: new Uint8Array(hash.digest()) }
}

/** As {@link calculateNar}; where blobs are in an embedded store, with a record by root node that outlives the process. */
export async function measureNar(
  services: NarServices,
  node: Node,
  options: RenderNarOptions = {},
): Promise<NarMeasure> {
  const engine = engineOf(services.blobs)
  if (engine === undefined) return calculateNar(services, node, options)
  const known = recordedMeasure(engine, node)
  if (known !== undefined) return known
  const measure = await calculateNar(services, node, options)
  try {
    const session = engine.write()
    recordMeasure(session, node, measure)
    await session.commit()
  } catch (error) {
    // Of a store that can only be read the answer is right all the same.
    if (!(error instanceof EmbeddedStoreError && error.code === 'no-permission')) throw error
  }
  return measure
}

/** What an earlier calculation found. */
export function recordedMeasure(engine: EmbeddedStore, node: Node): NarMeasure | undefined {
  const record = engine.get('nars', measureKey(node))
  if (record === undefined || record.length !== 40) return undefined
  const narSize = Buffer.from(record.buffer, record.byteOffset, 8).readBigUInt64LE(0)
  return { narSize, narSha256: new Uint8Array(record.subarray(8)) }
}

export function recordMeasure(session: WriteSession, node: Node, measure: NarMeasure): void {
  const record = Buffer.alloc(40)
  record.writeBigUInt64LE(measure.narSize, 0)
  record.set(measure.narSha256, 8)
  session.put('nars', measureKey(node), record)
}

function measureKey(node: Node): Uint8Array {
  return blake3.digest(encodeNode(new Uint8Array(0), node))
}
