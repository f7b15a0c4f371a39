import { B3Digest, type DirectoryEntry, type FileNode, type Node } from '@neve/castore-model'
import type { DirectoryService } from '@neve/castore-services'
import { NarEncoder, narEntrySize } from '@neve/nar'
import { ChildrenAhead } from './children-ahead.js'
import { StoreError } from './errors.js'
import type { NarLayout } from './nar-layout.js'

/** Part of a NAR: framing bytes, or the whole contents of a file. `start` is its position in the NAR, in bytes. */
export type NarStretch =
  | { readonly kind: 'framing'; readonly start: bigint; readonly bytes: Uint8Array }
  | { readonly kind: 'file'; readonly start: bigint; readonly node: FileNode }

/** How {@link narStretches} walks. */
export interface NarStretchOptions {
  readonly signal?: AbortSignal | undefined
  /** Where to begin, with the layout that allows for skipping what lies before. Default: at the start. */
  readonly from?: { readonly offset: bigint; readonly layout: NarLayout } | undefined
  /** Child directories to look up ahead: 1 where a lookup costs nothing. Default: 1. */
  readonly directoriesAhead?: number | undefined
  /** Bytes of framing that are put together before they are handed out. Default: 16 KiB. */
  readonly framingSize?: number | undefined
}

/** What is in the store can be rendered, however deep it is. */
const MAX_DEPTH = 1_000_000
/** The most stretches to hand out together. */
const TOGETHER = 512

/** A directory on the way down. */
interface Open {
  readonly entries: readonly DirectoryEntry[]
  readonly children: ChildrenAhead
  next: number
}

/**
 * The parts of a node's NAR in order, from directories alone: no content is read. Parts that lie before `from` may
 * come too, but no directory is read that ends before it. The framing may be kept.
 *
 * Framing and files lie without gaps from `from` on. A file without bytes is a stretch too, unless it is the empty
 * blob: its node may lie.
 *
 * @throws StoreError `directory-not-found`; errors of the service
 */
export async function* narStretches(
  directories: Pick<DirectoryService, 'get'>,
  root: Node,
  { signal, from, directoriesAhead = 1, framingSize = 16 * 1024 }: NarStretchOptions = {},
): AsyncGenerator<readonly NarStretch[], void, undefined> {
  let stretches: NarStretch[] = []
  // The encoder does not see what is skipped.
  let skipped = 0n
  let handedOver = 0n
  const encoder = new NarEncoder(
    (bytes) => {
      stretches.push({ kind: 'framing', start: skipped + handedOver, bytes })
      handedOver += BigInt(bytes.length)
    },
    { maxDepth: MAX_DEPTH, bufferSize: framingSize },
  )
  const open: Open[] = []
  let name = 'the root'

  /** Passes over entries that end before `from`. */
  const skip = (entries: readonly DirectoryEntry[]): { next: number; directories: number } => {
    const passed = { next: 0, directories: 0 }
    if (from === undefined) return passed
    const position = skipped + encoder.bytesWritten
    let bytes = 0n
    for (; passed.next < entries.length; passed.next++) {
      const { name, node } = entries[passed.next]!
      const size = narEntrySize(name.bytes.length, from.layout.archiveSize(node))
      if (position + bytes + size > from.offset) break
      bytes += size
      if (node.kind === 'directory') passed.directories++
    }
    if (bytes > 0n) encoder.flush()
    skipped += bytes
    return passed
  }

  encoder.start()
  for (let node: Node | undefined = root; node !== undefined; ) {
    if (node.kind === 'directory') {
      signal?.throwIfAborted()
      const directory = await (open.at(-1)?.children.next() ?? directories.get(node.digest, { signal }))
      if (directory === undefined) {
        throw new StoreError('directory-not-found', `directory ${node.digest} of ${name} is not in the store`)
      }
      encoder.directoryStart()
      const { next, directories: passed } = skip(directory.entries)
      const children = new ChildrenAhead(directories, directory, directoriesAhead, signal, passed)
      open.push({ entries: directory.entries, children, next })
    } else {
      if (node.kind === 'symlink') encoder.symlink(node.target.bytes)
      else writeFile(node)
      if (open.length > 0) encoder.entryEnd()
    }
    if (stretches.length >= TOGETHER) {
      yield stretches
      stretches = []
    }
    node = undefined
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const entry = top.entries[top.next++]
      if (entry !== undefined) {
        encoder.entry(entry.name.bytes)
        node = entry.node
        if (node.kind === 'directory') name = `'${entry.name}'`
        break
      }
      encoder.directoryEnd()
      open.pop()
      if (open.length > 0) encoder.entryEnd()
    }
  }
  encoder.finish()
  yield stretches

  function writeFile(node: FileNode): void {
    encoder.fileHeader(node.executable, node.size)
    if (node.size > 0n || !node.digest.equals(B3Digest.EMPTY)) {
      encoder.external(node.size)
      stretches.push({ kind: 'file', start: skipped + handedOver, node })
      handedOver += node.size
    }
    encoder.fileEnd()
  }
}
