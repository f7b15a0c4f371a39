import { compareBytes, type DirectorySizes, equalNodes, type Node } from '@neve/castore-model'
import { type CallOptions, CastoreError } from '@neve/castore-services'
import { copyClosure } from '@neve/castore-services/copy'
import type { StorePath } from '@neve/nix-compat'
import { StoreError } from '../errors.js'
import { listRoots, setRoot } from '../gc/roots.js'
import { NarMismatchError } from '../nar-mismatch-error.js'
import { type PushedPath, type PushProgress, pushClosure } from '../push/push-closure.js'
import type { Store } from '../store.js'
import { RewritingSource } from './rewriting-source.js'

/** Options of {@link migrateStore}. */
export interface MigrateStoreOptions extends CallOptions {
  /**
   * Make directories anew that record sizes by another rule (DESIGN decision 2), and point the path infos to them. Default:
   * directories stay as they are.
   */
  readonly directorySizes?: DirectorySizes | undefined
  /** Have the target measure each NAR before its path info is put. Default: true. */
  readonly checkNars?: boolean | undefined
  /** Told of each path that cannot be migrated: the others are. Default: the first failure ends it. */
  readonly onFailure?: ((storePath: StorePath, error: unknown) => void) | undefined
  /** Called often: keep it short. */
  readonly onProgress?: ((progress: PushProgress) => void) | undefined
}

/** What became of one store path. */
export interface MigratedPath extends PushedPath {
  /** The root at the source and at the target, where these differ. */
  readonly repointed: { readonly before: Node; readonly after: Node } | undefined
  /** Directories that were made anew. */
  readonly rewrittenDirectories: number
}

/**
 * Copies all store paths of a store, with everything that they stand for, to another one, which may be of any other kind, or
 * the same one when directories are to be made anew. Every byte that is read and stored is verified. Gives each path when it
 * is safely there, references first. What was interrupted goes on where it ended when it is called again: what the target
 * has is not copied.
 *
 * @throws on iterating: as `pushClosure`
 */
export async function* migrateStore(
  { from, to }: { readonly from: Store; readonly to: Store },
  options: MigrateStoreOptions = {},
): AsyncGenerator<MigratedPath, void, undefined> {
  const { directorySizes, checkNars = true, onFailure, onProgress, signal } = options
  const source = directorySizes === undefined ? undefined : new RewritingSource(from, directorySizes)
  const roots: StorePath[] = []
  for await (const { storePath } of from.pathInfos.list({ signal })) roots.push(storePath)
  const pushed = pushClosure({ from: source ?? from, to }, roots, {
    closure: false,
    checkNars,
    onFailure,
    onProgress,
    signal,
  })
  for await (const path of pushed) {
    try {
      yield await repointed(source, to, path, { signal })
    } catch (error) {
      if (onFailure === undefined || signal?.aborted) throw error
      onFailure(path.storePath, error)
    } finally {
      source?.release(path)
    }
  }
}

/** Sees to it that the target's path info has the root that it is to have: it may have been there before. */
async function repointed(
  source: RewritingSource | undefined,
  to: Store,
  path: PushedPath,
  options: CallOptions,
): Promise<MigratedPath> {
  const nothing = { ...path, repointed: undefined, rewrittenDirectories: 0 }
  if (source === undefined) return nothing
  const { digest } = path.storePath
  // Of what the target had, nobody has asked yet.
  if (source.rewritten(path) === undefined) await source.pathInfos.get(digest, options)
  const made = source.rewritten(path)
  if (made === undefined) return nothing
  const { before, after } = made
  const report = {
    ...path,
    repointed: equalNodes(before, after) ? undefined : { before, after },
    rewrittenDirectories: made.directories,
  }
  const there = await to.pathInfos.get(digest, options)
  if (there === undefined || equalNodes(there.node, after)) return report
  const { node: _, ...counts } = await copyClosure({ from: source, to }, after, {
    ...options,
    thorough: true,
  })
  const measure = await to.measureNar(after, options.signal === undefined ? {} : { signal: options.signal })
  if (compareBytes(measure.narSha256, there.narSha256) !== 0) {
    const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
    throw new NarMismatchError('hash', `${hex(there.narSha256)} of ${path.storePath}`, hex(measure.narSha256))
  }
  await to.pathInfos.put({ ...there, node: after }, { ...options, overwrite: true })
  return { ...report, ...counts, present: false }
}

/**
 * Copies the roots that garbage collection goes by, with the directories and blobs that they name, between two embedded
 * stores; elsewhere there are none.
 *
 * @returns how many there are
 */
export async function migrateRoots(
  { from, to }: { readonly from: Store; readonly to: Store },
  options: CallOptions = {},
): Promise<number> {
  if (from.engine === undefined || to.engine === undefined || from.engine.path === to.engine.path) return 0
  let roots = 0
  for (const root of listRoots(from.engine)) {
    try {
      if ('target' in root && 'bytes' in root.target) await copyClosure({ from, to }, root.target, options)
      await setRoot(to.engine, root)
      roots++
    } catch (error) {
      // It leads to nothing there either.
      const code = error instanceof StoreError || error instanceof CastoreError ? error.code : undefined
      if (code !== 'not-found') throw error
    }
  }
  return roots
}
