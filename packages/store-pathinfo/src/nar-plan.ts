import { B3Digest, type DirectoryEntry, type FileNode, type Node } from '@neve/castore-model'
import {
  type BlobService,
  type ChunkMeta,
  DataLossError,
  type DirectoryService,
} from '@neve/castore-services'
import { chunkListSize, decodeChunkList } from '@neve/castore-services/blob/embedded'
import type { EmbeddedStore } from '@neve/embedded-store'
import { ChildrenAhead } from './children-ahead.js'
import { StoreError } from './errors.js'

/** One step of writing a NAR. A piece of content belongs to the file before it. */
export type NarStep =
  | { readonly kind: 'enter' }
  | { readonly kind: 'entry'; readonly name: Uint8Array }
  | { readonly kind: 'leave' }
  | { readonly kind: 'symlink'; readonly target: Uint8Array }
  | { readonly kind: 'file'; readonly node: FileNode }
  | NarPiece
  | { readonly kind: 'file-end' }

/** A stored piece of a file's content. */
export interface NarPiece {
  readonly kind: 'piece'
  readonly file: FileNode
  readonly digest: B3Digest
  readonly size: number
}

/** Where a plan is made from. */
export interface NarPlanServices {
  readonly blobs: BlobService
  readonly directories: DirectoryService
}

const LEAVE: NarStep = { kind: 'leave' }
const ENTER: NarStep = { kind: 'enter' }
const FILE_END: NarStep = { kind: 'file-end' }
/** Child directories that are looked up ahead, of each directory on the way down, where that may be a round trip. */
const DIRECTORIES_AHEAD = 8
/** How many steps are handed over at once at the most, or a few more. */
const MOST_STEPS = 2048
/** The same of the pieces of one file: what is handed over stays in memory until it is sent, and clients may be slow. */
const MOST_PIECES = 256
/** Blobs up to this size are never cut (spec 02 section 8.1), in bytes. */
const NEVER_CUT = 131072n
/** So much of a chunk list is decoded at once, in bytes: a multiple of its entries of 36. */
const LIST_BLOCK = 36 * 256

/** Walks a node in the order of its NAR. Reads directories, and chunk lists where there are any, but no content. */
export async function* planSteps(
  services: NarPlanServices,
  engine: EmbeddedStore | undefined,
  root: Node,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly NarStep[], void, undefined> {
  const open: { readonly entries: Iterator<DirectoryEntry>; readonly children: ChildrenAhead }[] = []
  const ahead = engine === undefined ? DIRECTORIES_AHEAD : 1
  let steps: NarStep[] = []
  let name = 'the root'
  for (let next: Node | undefined = root; ; ) {
    if (next === undefined) break
    const node: Node = next
    next = undefined
    if (node.kind === 'symlink') {
      steps.push({ kind: 'symlink', target: node.target.bytes })
    } else if (node.kind === 'file') {
      steps.push({ kind: 'file', node })
      if (engine !== undefined) {
        for (const piece of piecesOf(engine, node)) {
          if (steps.push(piece) <= MOST_PIECES) continue
          yield steps
          steps = []
        }
      }
      steps.push(FILE_END)
    } else {
      if (steps.length > 0) yield steps
      steps = []
      signal?.throwIfAborted()
      const directory = await (open.at(-1)?.children.next() ??
        services.directories.get(node.digest, { signal }))
      if (directory === undefined) {
        throw new StoreError('directory-not-found', `directory ${node.digest} of ${name} is not in the store`)
      }
      steps.push(ENTER)
      const children = new ChildrenAhead(services.directories, directory, ahead, signal)
      open.push({ entries: directory.entries.values(), children })
    }
    for (let directory = open.at(-1); directory !== undefined; directory = open.at(-1)) {
      const entry = directory.entries.next()
      if (entry.done !== true) {
        steps.push({ kind: 'entry', name: entry.value.name.bytes })
        next = entry.value.node
        if (next.kind === 'directory') name = `'${entry.value.name}'`
        break
      }
      steps.push(LEAVE)
      open.pop()
    }
    if (steps.length > MOST_STEPS) {
      yield steps
      steps = []
    }
  }
  if (steps.length > 0) yield steps
}

/**
 * The stored pieces of a file. Of 4 GiB the chunk list has half a MiB, and many clients may be slow to take what is
 * rendered: so it is read anew for each of its blocks, and let go.
 */
function* piecesOf(engine: EmbeddedStore, file: FileNode): Iterable<NarStep> {
  if (file.size === 0n && file.digest.equals(B3Digest.EMPTY)) return
  let part = file.size <= NEVER_CUT ? undefined : listPart(engine, file, 0)
  if (part === undefined) {
    const size = file.size <= 4n * NEVER_CUT ? Number(file.size) : 0
    yield { kind: 'piece', file, digest: file.digest, size }
    return
  }
  const { length } = part
  for (let at = 0; ; ) {
    for (const { digest, size } of part.chunks) {
      yield { kind: 'piece', file, digest, size: Number(size) }
    }
    at += LIST_BLOCK
    if (at >= length) return
    part = listPart(engine, file, at)
    if (part?.length !== length) throw absent(file, file.digest, `embedded:${engine.path}`)
  }
}

interface ListPart {
  readonly chunks: readonly ChunkMeta[]
  /** Of the whole list, in bytes. */
  readonly length: number
}

/** A block of a file's chunk list; undefined where it has none. The first one is had only of a list of the right size. */
function listPart(engine: EmbeddedStore, file: FileNode, at: number): ListPart | undefined {
  const list = engine.get('blobs', file.digest.bytes)
  if (list === undefined) return undefined
  const backend = `embedded:${engine.path}`
  if (at === 0) {
    const total = chunkListSize(file.digest, list, backend)
    if (total !== file.size) throw wrongSize(file, total)
  }
  // Not a view, which would keep all of it.
  const block = Uint8Array.prototype.slice.call(list, at, at + LIST_BLOCK)
  return { chunks: decodeChunkList(file.digest, block, backend), length: list.length }
}

/** What is thrown when a blob has another length than its node says. */
export function wrongSize(file: FileNode, actual: bigint): StoreError {
  return new StoreError('wrong-size', `blob ${file.digest} has ${actual} bytes, its node says ${file.size}`)
}

/** What is thrown when a blob, or a chunk of one, is not there. */
export function absent(file: FileNode, digest: B3Digest, backend: string): Error {
  return digest.equals(file.digest)
    ? new StoreError('blob-not-found', `blob ${file.digest} is not in the store`)
    : new DataLossError(file.digest, backend, `chunk ${digest} of blob ${file.digest} is missing`)
}
