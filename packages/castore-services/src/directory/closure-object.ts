import { B3Digest, Directory } from '@neve/castore-model'
import { expandChunk, framedChunk } from '../blob/chunk-frames.js'
import { CastoreError, DataLossError } from '../errors.js'
import { DirectoryGraph } from './graph.js'

/** What a closure in an object store may be at most. */
export interface ClosureLimits {
  /** Bytes of one directory's encoding. */
  readonly maxDirectoryBytes: number
  /** Bytes of all of them together. */
  readonly maxClosureBytes: number
}

/** A closure as it was read: every directory verified, none missing. */
export interface Closure {
  readonly root: B3Digest
  /** By {@link B3Digest.key}, the root first, each after one that references it. */
  readonly directories: ReadonlyMap<string, Directory>
  /** Bytes of all encodings. */
  readonly bytes: number
}

const LENGTH_PREFIX = 4

/**
 * The object of a closure as the reference writes it (spec 03 section 9.1): one zstd frame of the directories, the root
 * first and each after one that references it, each behind its length as big-endian u32.
 *
 * @param directories in that order
 * @throws CastoreError `too-large`
 */
export function encodeClosure(directories: Iterable<Directory>, limits: ClosureLimits): Uint8Array {
  const encodings: Uint8Array[] = []
  let total = 0
  for (const directory of directories) {
    const encoding = directory.encode()
    if (encoding.length > limits.maxDirectoryBytes) {
      const detail = `directory ${directory.digest()} has ${encoding.length} bytes`
      throw new CastoreError('too-large', `${detail}, expected at most ${limits.maxDirectoryBytes}`)
    }
    encodings.push(encoding)
    total += LENGTH_PREFIX + encoding.length
    if (total > limits.maxClosureBytes) {
      const detail = `a closure has more than ${limits.maxClosureBytes} bytes of directories`
      throw new CastoreError('too-large', detail)
    }
  }
  const raw = Buffer.allocUnsafe(total)
  let at = 0
  for (const encoding of encodings) {
    at = raw.writeUInt32BE(encoding.length, at)
    raw.set(encoding, at)
    at += encoding.length
  }
  return framedChunk(raw)
}

/**
 * Reads the object of a closure. Nothing of it is decoded before its digest was asked for by what came before; repeats
 * are dropped; whatever is cut off, missing, superfluous, or referenced with a wrong size makes all of it damaged.
 *
 * @param root the closure's digest
 * @param stored all of the object
 * @throws DataLossError
 */
export function decodeClosure(
  root: B3Digest,
  stored: Uint8Array,
  limits: ClosureLimits,
  backend: string,
): Closure {
  const fail = (detail: string, cause?: unknown, digest: B3Digest = root): DataLossError =>
    new DataLossError(digest, backend, `closure ${root} is damaged: ${detail}`, { cause })
  let raw: Uint8Array
  try {
    raw = expandChunk(stored, limits.maxClosureBytes)
  } catch (error) {
    throw fail(messageOf(error), error)
  }
  const directories = new Map<string, Directory>()
  const expected = new Set([root.key])
  const graph = DirectoryGraph.rootToLeaves(root)
  let bytes = 0
  for (const frame of frames(raw, limits, fail)) {
    const digest = B3Digest.of(frame)
    // Before decoding: bytes that nobody asked for are never parsed.
    if (!expected.has(digest.key)) throw fail(`received unexpected directory ${digest}`, undefined, digest)
    if (directories.has(digest.key)) continue
    try {
      const directory = Directory.decode(frame, { maxBytes: limits.maxDirectoryBytes })
      graph.add(directory)
      for (const { node } of directory.directories()) expected.add(node.digest.key)
      directories.set(digest.key, directory)
      bytes += frame.length
    } catch (error) {
      throw fail(`directory ${digest}: ${messageOf(error)}`, error, digest)
    }
  }
  if (directories.size === 0) throw fail('it has no directories')
  try {
    graph.validate()
  } catch (error) {
    throw fail(messageOf(error), error)
  }
  return { root, directories, bytes }
}

function* frames(
  raw: Uint8Array,
  { maxDirectoryBytes }: ClosureLimits,
  fail: (detail: string) => Error,
): Generator<Uint8Array, void, undefined> {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength)
  for (let at = 0; at < raw.length; ) {
    if (raw.length - at < LENGTH_PREFIX) throw fail('it ends within a length')
    const length = view.getUint32(at)
    at += LENGTH_PREFIX
    if (length > maxDirectoryBytes) {
      throw fail(`a directory has ${length} bytes, expected at most ${maxDirectoryBytes}`)
    }
    if (length > raw.length - at) {
      throw fail(`it ends within a directory: expected ${length} bytes, got ${raw.length - at}`)
    }
    yield raw.subarray(at, at + length)
    at += length
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** A directory of a closure and everything below it: breadth first, in order of names, each one once. */
export function* below(closure: Closure, root: B3Digest): Generator<Directory, void, undefined> {
  // A Set keeps its order of insertion, and what is added while it is walked is walked too.
  const queue = new Set([root.key])
  for (const key of queue) {
    const directory = closure.directories.get(key)!
    for (const { node } of directory.directories()) queue.add(node.digest.key)
    yield directory
  }
}
