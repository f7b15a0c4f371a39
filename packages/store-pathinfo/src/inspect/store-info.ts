import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { CallOptions } from '@neve/castore-services'
import { DigestSet } from '@neve/castore-services/gc'
import type { EmbeddedStore } from '@neve/embedded-store'
import type { StorePath } from '@neve/nix-compat'
import { decodeStored } from '../path-info/stored.js'

/** A store path, and the size of its NAR in bytes. */
export interface SizedPath {
  readonly storePath: StorePath
  readonly narSize: bigint
}

/** What an embedded store holds. Sizes are in bytes. */
export interface StoreInfo {
  readonly pathInfos: number
  readonly directories: number
  /** Different files, by their content: those in chunks and those in one piece. The empty one is not stored. */
  readonly blobs: number
  /** Of `blobs`, those that are cut into chunks. */
  readonly chunkedBlobs: number
  /** Different chunks of these. */
  readonly chunks: number
  readonly segments: number
  /** Sizes of the NARs of all store paths. */
  readonly logicalBytes: bigint
  /** Bytes of all blobs. */
  readonly blobBytes: bigint
  /** Bytes of all chunks, and of blobs in one piece: each once. */
  readonly uniqueBytes: bigint
  /** What these take, compressed. */
  readonly storedBytes: bigint
  /** Bytes of the encoded directories. */
  readonly directoryBytes: bigint
  /** Length of the segments, with what nobody needs any more. */
  readonly segmentBytes: bigint
  /** Length of the tables' files. */
  readonly tableBytes: bigint
  /** Path infos that cannot be read. */
  readonly damagedPathInfos: number
  /** The store paths with the largest NARs, largest first. */
  readonly largest: readonly SizedPath[]
}

/** Options of {@link storeInfo}. */
export interface StoreInfoOptions extends CallOptions {
  /** How many of the largest store paths to name. Default: 10. */
  readonly top?: number | undefined
}

const DIGEST = 32
const LIST_ENTRY = 36
/** Entries of a table that are looked at before others get a turn. */
const A_TURN = 4096

/**
 * Looks through the tables of an embedded store, and reads no content. What is stored meanwhile may be counted or not.
 *
 * Memory: 36 bytes for each chunk.
 *
 * @throws the signal's reason; EmbeddedStoreError
 */
export async function storeInfo(
  engine: EmbeddedStore,
  { top = 10, signal }: StoreInfoOptions = {},
): Promise<StoreInfo> {
  const turn = takingTurns(signal)
  const paths = await pathSums(engine, top, turn)
  const lists = await listSums(engine, turn)
  let [pieces, uniqueBytes, storedBytes] = [0, 0, 0]
  let [wholeBlobs, wholeBytes] = [0, 0]
  for (const [key, { rawLength, storedLength }] of engine.locations()) {
    pieces++
    uniqueBytes += rawLength
    storedBytes += storedLength
    if (!lists.chunks.has(key)) {
      wholeBlobs++
      wholeBytes += rawLength
    }
    if (pieces % A_TURN === 0) await turn()
  }
  let directoryBytes = 0
  let directories = 0
  for (const [, encoded] of engine.entries('directories')) {
    directoryBytes += encoded.length
    if (++directories % A_TURN === 0) await turn()
  }
  const segments = filesIn(join(engine.path, 'segments'))
  return {
    ...paths,
    directories,
    blobs: wholeBlobs + lists.count,
    chunkedBlobs: lists.count,
    chunks: lists.chunks.size,
    segments: segments.count,
    blobBytes: BigInt(wholeBytes + lists.bytes),
    uniqueBytes: BigInt(uniqueBytes),
    storedBytes: BigInt(storedBytes),
    directoryBytes: BigInt(directoryBytes),
    segmentBytes: BigInt(segments.bytes),
    tableBytes: BigInt(filesIn(join(engine.path, 'tables')).bytes),
  }
}

async function pathSums(engine: EmbeddedStore, top: number, turn: () => Promise<void>) {
  const backend = `embedded:${engine.path}`
  let [pathInfos, damagedPathInfos, logicalBytes] = [0, 0, 0n]
  let largest: SizedPath[] = []
  for (const [digest, bytes] of engine.entries('pathInfos')) {
    if (++pathInfos % A_TURN === 0) await turn()
    try {
      const { storePath, narSize } = decodeStored(backend, digest, bytes)
      logicalBytes += narSize
      largest.push({ storePath, narSize })
    } catch {
      damagedPathInfos++
    }
    if (largest.length >= 2 * top + A_TURN) largest = largestOf(largest, top)
  }
  return { pathInfos, damagedPathInfos, logicalBytes, largest: largestOf(largest, top) }
}

function largestOf(paths: SizedPath[], top: number): SizedPath[] {
  return paths.sort((a, b) => (a.narSize < b.narSize ? 1 : a.narSize > b.narSize ? -1 : 0)).slice(0, top)
}

async function listSums(engine: EmbeddedStore, turn: () => Promise<void>) {
  const chunks = new DigestSet()
  let [count, bytes] = [0, 0]
  for (const [, list] of engine.entries('blobs')) {
    const sizes = Buffer.from(list.buffer, list.byteOffset, list.byteLength)
    for (let at = 0; at + LIST_ENTRY <= list.length; at += LIST_ENTRY) {
      chunks.add(list, at)
      bytes += sizes.readUInt32LE(at + DIGEST)
    }
    if (++count % A_TURN === 0) await turn()
  }
  return { chunks, count, bytes }
}

function filesIn(folder: string): { count: number; bytes: number } {
  let [count, bytes] = [0, 0]
  for (const name of readdirSync(folder)) {
    const found = statSync(join(folder, name), { throwIfNoEntry: false })
    if (found?.isFile() !== true) continue
    count++
    bytes += found.size
  }
  return { count, bytes }
}

function takingTurns(signal: AbortSignal | undefined): () => Promise<void> {
  return async () => {
    await new Promise((resolve) => setImmediate(resolve))
    signal?.throwIfAborted()
  }
}
