import { StorePath } from '@neve/nix-compat'
import type { PathInfo, Store } from '@neve/store-pathinfo'
import { UsageError } from './messages.js'

/** How many path infos are asked for at once where all are wanted. */
const PAGE = 256
/** The same, of those that are named. */
const LOOKUPS = 32

/**
 * Arguments that name whole store paths.
 *
 * @throws UsageError
 */
export function parseStorePaths(texts: readonly string[]): StorePath[] {
  return texts.map((text) => {
    try {
      const plain = text.replace(/\/+$/, '')
      return plain.startsWith('/') ? StorePath.parseAbsolute(plain) : StorePath.parse(plain)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new UsageError(`${text || '""'}: ${reason}; expected a store path, such as /nix/store/…-name`)
    }
  })
}

/**
 * That something is named, or all of it wanted, not both.
 *
 * @throws UsageError
 */
export function checkAll(paths: readonly string[], all: boolean | undefined, command: string): void {
  if (all === true && paths.length > 0) throw new UsageError('--all and store paths cannot be given together')
  if (all !== true && paths.length === 0) throw new UsageError(`${command} needs a store path, or --all`)
}

/** Every path info of a store, a page at a time, so that others may be put meanwhile. */
export async function* allPathInfos({ pathInfos }: Store, signal: AbortSignal): AsyncGenerator<PathInfo> {
  for (let after: Uint8Array | undefined; ; ) {
    let found = 0
    for await (const info of pathInfos.list({ after, limit: PAGE, signal })) {
      found++
      after = info.storePath.digest
      yield info
    }
    if (found < PAGE) return
  }
}

/** What is found under the digests of store paths, in their order; undefined where it is not of that path. */
export async function* named<T extends Pick<PathInfo, 'storePath'>>(
  paths: readonly StorePath[],
  find: (digest: Uint8Array, signal: AbortSignal) => Promise<T | undefined>,
  signal: AbortSignal,
): AsyncGenerator<{ readonly storePath: StorePath; readonly info: T | undefined }> {
  const { mapOrdered } = await import('@neve/castore-services')
  const look = async (storePath: StorePath, stop: AbortSignal) => {
    const info = await find(storePath.digest, stop)
    return { storePath, info: info?.storePath.equals(storePath) ? info : undefined }
  }
  yield* mapOrdered(paths, LOOKUPS, look, { signal })
}

/** A store path that is named and not in the store. */
export class MissingPathError extends Error {
  override readonly name = 'MissingPathError'
  readonly code = 'not-found'

  constructor(readonly storePath: StorePath) {
    super(`${storePath.toAbsolute()} is not in the store`)
  }
}
