import type { B3Digest, Directory } from '@neve/castore-model'
import type { CallOptions } from '../call-options.js'
import { abortable } from '../concurrency/abortable.js'
import { sharedController } from '../concurrency/shared-controller.js'
import type { DirectoryService } from '../directory-service.js'
import { CastoreError, DataLossError } from '../errors.js'

/** Options of {@link traverseDirectory}. */
export interface TraverseOptions extends CallOptions {
  /** How many lookups to have under way. Default: 16. */
  readonly lookAhead?: number | undefined
  /** Where the directories come from, for messages. Default: `directory service`. */
  readonly backend?: string | undefined
}

type Outcome = { readonly directory: Directory | undefined } | { readonly error: unknown }

/**
 * A directory and everything below it, from single lookups (spec 03 section 5): breadth first, in order of names, each
 * one once. The order does not depend on which lookup answers first. Nothing is looked up until the caller iterates;
 * an absent root gives no elements.
 *
 * @throws DataLossError when a directory below the root is not stored; CastoreErrors of a lookup unchanged, others
 *   as `storage`
 */
export async function* traverseDirectory(
  directories: Pick<DirectoryService, 'get'>,
  root: B3Digest,
  { lookAhead = 16, backend = 'directory service', signal }: TraverseOptions = {},
): AsyncGenerator<Directory, void, undefined> {
  signal?.throwIfAborted()
  const controller = sharedController()
  const seen = new Set([root.key])
  let waiting = [root]
  let asked = 0
  const running: { readonly digest: B3Digest; readonly outcome: Promise<Outcome> }[] = []

  const ask = async (digest: B3Digest): Promise<Outcome> => {
    try {
      return { directory: await directories.get(digest, { signal: controller.signal }) }
    } catch (error) {
      return { error }
    }
  }
  const fill = () => {
    while (running.length < lookAhead && asked < waiting.length) {
      const digest = waiting[asked]!
      asked += 1
      running.push({ digest, outcome: ask(digest) })
    }
    if (asked > 1024 && asked * 2 > waiting.length) {
      waiting = waiting.slice(asked)
      asked = 0
    }
  }

  try {
    fill()
    for (let head = running[0]; head !== undefined; head = running[0]) {
      const { digest, outcome } = head
      const answer = await abortable(outcome, signal)
      if ('error' in answer) throw lookupError(digest, answer.error)
      if (answer.directory === undefined) {
        if (digest.equals(root)) return
        throw new DataLossError(digest, backend, `directory ${digest} does not exist`)
      }
      running.shift()
      for (const { node } of answer.directory.directories()) {
        if (seen.has(node.digest.key)) continue
        seen.add(node.digest.key)
        waiting.push(node.digest)
      }
      fill()
      yield answer.directory
    }
  } finally {
    controller.abort(signal?.aborted ? signal.reason : undefined)
    await Promise.all(running.map(({ outcome }) => outcome))
  }
}

function lookupError(digest: B3Digest, error: unknown): unknown {
  if (error instanceof CastoreError) return error
  const text = error instanceof Error ? error.message : String(error)
  return new CastoreError('storage', `unable to look up directory ${digest}: ${text}`, { cause: error })
}
