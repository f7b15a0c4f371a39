import { type B3Digest, Directory, sizeAccepted } from '@neve/castore-model'
import { engineError } from '../blob/embedded.js'
import type { CallOptions } from '../call-options.js'
import { eachConcurrent } from '../concurrency/each-concurrent.js'
import { EmbeddedDirectoryService } from '../directory/embedded.js'
import type { DirectoryService } from '../directory-service.js'
import { CastoreError, DataLossError, WrongSizeError } from '../errors.js'
import type { CopyServices } from './copy-closure.js'
import { leavesFirst } from './leaves-first.js'
import type { MissingDirectories } from './missing-directories.js'

type Encodings = ReadonlyMap<string, Uint8Array>

const PUTS_AT_ONCE = 64
/** After so many directories, an embedded store is asked whether it has room. */
const ROOM_EVERY = 1000

/**
 * Stores the directories that a target lacks, leaves first, in the way that moves least: an embedded store takes just
 * them, in one commit, and others that store directories singly take them one by one. An upload anywhere else is a
 * whole closure (spec 03 section 2.1): what the target has of it travels again, as far as directories go.
 */
export async function uploadDirectories(
  { from, to }: { readonly from: CopyServices; readonly to: CopyServices },
  root: B3Digest,
  { missing, present }: MissingDirectories,
  options: CallOptions,
): Promise<void> {
  if (missing.size === 0) return
  if (to.directories instanceof EmbeddedDirectoryService) {
    await commitToEngine(to.directories, missing, options)
    return
  }
  if (present.size === 0) {
    await putClosure(to.directories, missing, root, options)
    return
  }
  if (to.directories.putsSingly === true) await putEach(to.directories, missing, options)
  else await putClosure(to.directories, await wholeClosure(from.directories, root, options), root, options)
}

async function commitToEngine(
  directories: EmbeddedDirectoryService,
  missing: Encodings,
  { signal }: CallOptions,
): Promise<void> {
  const { engine } = directories
  const session = engine.write()
  const putter = directories.uncheckedPutter(session)
  let count = 0
  try {
    for (const directory of leavesFirst(missing)) {
      for (const { name, node } of directory.directories()) {
        const encoded = missing.get(node.digest.key)
        const child = encoded === undefined ? await directories.get(node.digest) : Directory.decode(encoded)
        if (child === undefined) throw gone(node.digest)
        if (!sizeAccepted(node.size, child)) {
          throw new WrongSizeError(name.toString(), node.digest, node.size, child.size())
        }
      }
      await putter.put(directory)
      if (++count % ROOM_EVERY === 0) {
        signal?.throwIfAborted()
        await session.room()
      }
    }
    signal?.throwIfAborted()
    await session.commit()
  } catch (error) {
    throw engineError(error, undefined, `embedded:${engine.path}`)
  }
}

async function putClosure(
  directories: DirectoryService,
  closure: Encodings,
  root: B3Digest,
  options: CallOptions,
): Promise<void> {
  await using putter = directories.putMultipleStart(options)
  for (const directory of leavesFirst(closure, root.key)) await putter.put(directory, options)
  expectDigest(root, await putter.close(options))
}

/** Each once all below it are stored: a level at a time, from the leaves up. */
async function putEach(
  directories: DirectoryService,
  missing: Encodings,
  options: CallOptions,
): Promise<void> {
  const put = async (directory: Directory, signal: AbortSignal): Promise<void> => {
    expectDigest(directory.digest(), await directories.put(directory, { signal }))
  }
  const heights = new Map<string, number>()
  const levels: string[][] = []
  for (const directory of leavesFirst(missing)) {
    const below = [...directory.directories()].map(({ node }) => heights.get(node.digest.key) ?? -1)
    const height = Math.max(-1, ...below) + 1
    const { key } = directory.digest()
    heights.set(key, height)
    const level = levels[height]
    if (level === undefined) levels[height] = [key]
    else level.push(key)
  }
  for (const level of levels) {
    const source = (async function* () {
      for (const key of level) yield Directory.decode(missing.get(key)!)
    })()
    await eachConcurrent(source, PUTS_AT_ONCE, put, options)
  }
}

/** A directory and everything below it, from the source: the target has taken parts of it for granted. */
async function wholeClosure(
  directories: DirectoryService,
  root: B3Digest,
  options: CallOptions,
): Promise<Encodings> {
  const closure = new Map<string, Uint8Array>()
  for await (const directory of directories.getRecursive(root, options)) {
    closure.set(directory.digest().key, directory.encode())
  }
  return closure
}

function gone(digest: B3Digest): DataLossError {
  return new DataLossError(digest, 'the target', `directory ${digest} does not exist any more`)
}

function expectDigest(expected: B3Digest, actual: B3Digest): void {
  if (actual.equals(expected)) return
  throw new CastoreError('storage', `the target took directory ${expected} for ${actual}`)
}
