import type { Node } from '@neve/castore-model'
import type { DirectoryService } from '@neve/castore-services'
import { narEvents } from '@neve/nar'
import { walkNode } from '@neve/store-pathinfo'
import { copies } from '../copies.js'

/** A file, directory or link on its way into an archive. */
export interface ArchiveEntry {
  /** Its names, joined by slashes; the name of the whole comes first. */
  readonly path: Uint8Array
  readonly kind: 'directory' | 'file' | 'symlink'
  readonly executable: boolean
  /** Bytes of a file's content; 0 for all others. */
  readonly size: bigint
  /** Of a link. */
  readonly target: Uint8Array | undefined
}

/** One that can be written: the content of a file is to be read before the next entry is asked for. */
export interface FilledEntry extends ArchiveEntry {
  readonly content: AsyncIterable<Uint8Array> | undefined
}

const SLASH = Buffer.from('/')

/**
 * What an archive of a tree will hold, in order, without the contents.
 *
 * @param name of the whole
 */
export async function* plannedEntries(
  directories: Pick<DirectoryService, 'get'>,
  root: Node,
  name: Uint8Array,
  signal: AbortSignal,
): AsyncGenerator<ArchiveEntry, void, undefined> {
  for await (const { path: below, node } of walkNode(directories, root)) {
    signal.throwIfAborted()
    yield {
      path: below.length === 0 ? name : Buffer.concat([name, SLASH, below]),
      kind: node.kind,
      executable: node.kind === 'file' && node.executable,
      size: node.kind === 'file' ? node.size : 0n,
      target: node.kind === 'symlink' ? node.target.bytes : undefined,
    }
  }
}

/**
 * The same with contents, from the NAR of the tree, which has everything in this order, and is what stores are fastest
 * at.
 *
 * @param nar each piece need only be valid until the next is asked for
 * @param name of the whole
 */
export async function* filledEntries(
  nar: AsyncIterable<Uint8Array>,
  name: Uint8Array,
): AsyncGenerator<FilledEntry, void, undefined> {
  const folders: Uint8Array[] = []
  // Whoever parses an archive may hold on to the end of a piece while it asks for the next.
  for await (const event of narEvents(copies(nar))) {
    if (event.type === 'directory-end') {
      folders.pop()
      continue
    }
    const folder = folders.at(-1)
    const path = folder === undefined ? name : Buffer.concat([folder, SLASH, event.name])
    const isFile = event.type === 'file'
    yield {
      path,
      kind: event.type === 'directory-start' ? 'directory' : event.type,
      executable: isFile && event.executable,
      size: isFile ? event.size : 0n,
      target: event.type === 'symlink' ? event.target : undefined,
      content: isFile ? event.content : undefined,
    }
    if (event.type === 'directory-start') folders.push(path)
  }
}
