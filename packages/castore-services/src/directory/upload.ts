import type { B3Digest, Directory } from '@neve/castore-model'
import type { CallOptions } from '../call-options.js'
import { expectStored } from '../combine/expect-digest.js'
import type { DirectoryService } from '../directory-service.js'
import { CastoreError, DataLossError } from '../errors.js'
import { DirectoryGraph } from './graph.js'
import type { ValidatedGraph } from './validated-graph.js'

/**
 * Uploads a closure that was checked already.
 *
 * @param backend what to call the service in messages
 */
export async function uploadGraph(
  directories: Pick<DirectoryService, 'putMultipleStart'>,
  graph: ValidatedGraph,
  backend: string,
  options?: CallOptions,
): Promise<void> {
  if (graph.root === undefined) return
  await using putter = directories.putMultipleStart(options)
  for (const directory of graph) await putter.put(directory)
  expectStored(await putter.close(), graph.root.digest(), backend)
}

/**
 * Checks a closure while it passes: order, sizes, and at its end that nothing is missing. Repeats are dropped. A closure
 * that is wrong in any way is `data-loss` of the service that gave it.
 *
 * @param graph takes what passes; of an absent root nothing
 */
export async function* checkedClosure(
  root: B3Digest,
  closure: AsyncIterable<Directory>,
  backend: string,
  graph: DirectoryGraph = DirectoryGraph.rootToLeaves(root),
): AsyncGenerator<Directory, ValidatedGraph, undefined> {
  const seen = new Set<string>()
  for await (const directory of closure) {
    const digest = directory.digest()
    asDataLoss(digest, backend, () => graph.add(directory))
    if (seen.has(digest.key)) continue
    seen.add(digest.key)
    yield directory
  }
  return asDataLoss(root, backend, () =>
    seen.size > 0 ? graph.validate() : DirectoryGraph.rootToLeaves().validate(),
  )
}

function asDataLoss<T>(digest: B3Digest, backend: string, check: () => T): T {
  try {
    return check()
  } catch (error) {
    if (!(error instanceof CastoreError)) throw error
    throw new DataLossError(digest, backend, error.message, { cause: error })
  }
}
