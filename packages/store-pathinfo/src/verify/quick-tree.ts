import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  blake3,
  Directory,
  type DirectoryEntry,
  equalBytes,
  type Node,
  sizeAccepted,
} from '@neve/castore-model'
import type { CallOptions } from '@neve/castore-services'
import { DigestSet } from '@neve/castore-services/gc'
import { ContentCheck, type ContentChecks } from './content-check.js'
import type { SoundDigests } from './sound-digests.js'

/** Directories that are walked through before others get a turn. */
const A_TURN = 1024

/** What was found out about a tree. */
export interface QuickTree {
  /** Whether all of it is; if not, where and what is wrong is to be found out. */
  readonly sound: boolean
  /** How many different ones were met, other than those that were known to be sound. */
  readonly directories: number
  /** How many different ones are sound, of those that were not known, and their bytes. */
  readonly blobs: number
  readonly bytes: number
  /** What is to be looked at closely where it is not sound: directories that were met, blobs with which something is wrong. */
  readonly again: { readonly directories: DigestSet; readonly blobs: DigestSet }
}

interface Open {
  readonly entries: readonly DirectoryEntry[]
  next: number
}

/**
 * Finds out whether all of a tree in an embedded store is there and sound, without telling where it is not. Sound blobs are added
 * to what is known at once, directories only with the whole tree.
 *
 * @param onBytes told of sound blobs
 */
export async function checkTreeQuickly(
  checks: ContentChecks,
  root: Node,
  known: SoundDigests,
  onBytes: (bytes: number) => void,
  options: CallOptions,
): Promise<QuickTree> {
  const { engine } = checks
  const again = { directories: new DigestSet(), blobs: new DigestSet() }
  const seen = new DigestSet()
  let [sound, directories, blobs, bytes] = [true, 0, 0, 0]
  const content = new ContentCheck(checks, {
    sound(digests, at, size) {
      known.addBlob(digests, at)
      blobs++
      bytes += size
      onBytes(size)
    },
    suspect(digest) {
      again.blobs.add(digest)
      sound = false
    },
  })
  const open: Open[] = []
  const enter = (node: Node): Promise<void> | undefined => {
    if (node.kind === 'symlink') return undefined
    const digest = node.digest.bytes
    if (node.kind === 'file') {
      if (known.blobs.has(digest) || !seen.add(digest)) return undefined
      return content.add(digest, Number(node.size), options)
    }
    if (known.directories.has(digest) || !again.directories.add(digest)) return undefined
    directories++
    const directory = decoded(digest, engine.get('directories', digest))
    if (directory === undefined || !sizeAccepted(node.size, directory)) sound = false
    if (directory !== undefined) open.push({ entries: directory.entries, next: 0 })
    return undefined
  }
  await enter(root)
  for (let top = open.at(-1), walked = 0; top !== undefined; top = open.at(-1)) {
    const entry = top.entries[top.next++]
    if (entry !== undefined) {
      const waiting = enter(entry.node)
      if (waiting !== undefined) await waiting
      continue
    }
    open.pop()
    if (++walked % A_TURN !== 0) continue
    await nextTurn()
    options.signal?.throwIfAborted()
  }
  await content.finish(options)
  if (sound) known.addDirectories(again.directories)
  return { sound, directories, blobs, bytes, again }
}

/** A directory, if it is the one that it should be. */
function decoded(digest: Uint8Array, bytes: Uint8Array | undefined): Directory | undefined {
  if (bytes === undefined || !equalBytes(blake3.digest(bytes), digest)) return undefined
  try {
    return Directory.decode(bytes)
  } catch {
    return undefined
  }
}
