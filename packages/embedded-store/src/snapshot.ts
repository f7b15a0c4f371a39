import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { EmbeddedStoreError, wrapError } from './errors.js'
import { layoutOf, type StoreLayout, syncFolder } from './format.js'
import { segmentId, segmentName } from './segment.js'
import { isRemoved } from './table-values.js'
import { Tables } from './tables.js'

/** Options of a snapshot. */
export interface SnapshotOptions {
  /**
   * Copy sealed segments, so that nothing of the two is the same on the disk. Default: they are shared where the file system
   * can do that, by reflink or hard link.
   */
  readonly copy?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/** What a snapshot took. Sizes are in bytes. */
export interface SnapshotReport {
  readonly segments: number
  /** Length of segments that are shared with the store, by reflink or hard link. */
  readonly sharedBytes: number
  /** Length of what was copied of segments. */
  readonly copiedBytes: number
  /** Length of the tables, which are copied always. */
  readonly tableBytes: number
}

const BLOCK = 4 * 1024 * 1024
/** A compaction may remove a segment that the tables still named. */
const ATTEMPTS = 10

/**
 * Makes a store of its own in another folder, with everything that is acknowledged now, while others go on writing.
 *
 * Segments are taken before the tables, so that none is missing that the tables name: who compacts removes segments, and
 * never changes one. The copy of the tables is that of one LMDB transaction, and says how far each segment goes. Its
 * FORMAT file comes last: what was interrupted is no store.
 *
 * @throws EmbeddedStoreError `not-a-store` when something is there already, `no-space`, `io`; the signal's reason
 */
export async function snapshotStore(
  from: { readonly layout: StoreLayout; readonly tables: Tables },
  path: string,
  options: SnapshotOptions = {},
): Promise<SnapshotReport> {
  const to = layoutOf(path)
  const isNew = !existsSync(path)
  if (!isNew && (!statSync(path).isDirectory() || readdirSync(path).length > 0)) {
    throw new EmbeddedStoreError('not-a-store', `${path} is not empty: name an empty or absent folder`)
  }
  try {
    for (let attempt = 1; ; attempt++) {
      for (const folder of [to.segments, to.tables, to.leases]) mkdirSync(folder, { recursive: true })
      const report = await takeAll(from, to, options)
      if (report !== undefined) {
        finish(from.layout, to)
        if (isNew) syncFolder(dirname(path))
        return report
      }
      if (attempt === ATTEMPTS) {
        throw new EmbeddedStoreError('busy', `the store at ${from.layout.root} is being compacted`)
      }
      clear(to)
    }
  } catch (error) {
    try {
      clear(to)
      if (isNew) rmSync(path, { recursive: true, force: true })
    } catch {
      // The disk takes nothing any more: what is left is no store, or a whole one.
    }
    if (options.signal?.aborted) throw error
    throw wrapError(error, `make a snapshot at ${path}`)
  }
}

/** @returns undefined when a segment that is needed was removed meanwhile */
async function takeAll(
  { layout, tables }: { readonly layout: StoreLayout; readonly tables: Tables },
  to: StoreLayout,
  { copy = false, signal }: SnapshotOptions,
): Promise<SnapshotReport | undefined> {
  const open = new Map<number, number>()
  let sharedBytes = 0
  let copiedBytes = 0
  const shared = new Set<number>()
  try {
    tables.refresh()
    const before = tables.segmentStates()
    for (const name of readdirSync(layout.segments)) {
      const id = segmentId(name)
      if (id === undefined) continue
      // One that grows is held open, and copied once it is known how far.
      if (!copy && before.get(id)?.sealed === true && share(layout, to, name)) shared.add(id)
      else hold(open, layout, id)
    }
    await tables.copyTo(to.tables)
    const copied = new Tables(to.tables, true)
    const states = copied.segmentStates()
    await copied.close()
    let segments = 0
    for (const [id, state] of states) {
      signal?.throwIfAborted()
      if (isRemoved(state)) {
        rmSync(join(to.segments, segmentName(id)), { force: true })
        continue
      }
      if (!shared.has(id)) {
        // It was begun meanwhile; or never got its first byte.
        if (!open.has(id) && !hold(open, layout, id)) {
          if (state.committed === 0) continue
          return undefined
        }
        await copyStart(open.get(id)!, join(to.segments, segmentName(id)), state.committed, signal)
        copiedBytes += state.committed
      } else sharedBytes += state.committed
      segments++
    }
    const tableBytes = statSync(join(to.tables, 'data.mdb')).size
    return { segments, sharedBytes, copiedBytes, tableBytes }
  } finally {
    for (const descriptor of open.values()) closeSync(descriptor)
  }
}

/** @returns false where the two folders cannot have one in common */
function share(from: StoreLayout, to: StoreLayout, name: string): boolean {
  const [source, target] = [join(from.segments, name), join(to.segments, name)]
  for (const way of [
    () => copyFileSync(source, target, constants.COPYFILE_FICLONE_FORCE),
    () => linkSync(source, target),
  ]) {
    try {
      way()
      syncFile(target)
      return true
    } catch {
      rmSync(target, { force: true })
    }
  }
  return false
}

function hold(open: Map<number, number>, { segments }: StoreLayout, id: number): boolean {
  try {
    open.set(id, openSync(join(segments, segmentName(id)), 'r'))
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
    throw error
  }
}

/** What lies behind the committed length was never acknowledged. */
async function copyStart(
  source: number,
  path: string,
  length: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const target = openSync(path, 'wx', 0o644)
  try {
    // A segment that is cut short is damaged, here as there.
    const end = Math.min(length, fstatSync(source).size)
    const block = Buffer.allocUnsafeSlow(Math.min(BLOCK, Math.max(end, 1)))
    for (let at = 0; at < end; ) {
      const read = readSync(source, block, 0, Math.min(block.length, end - at), at)
      if (read === 0) break
      for (let done = 0; done < read; ) done += writeSync(target, block, done, read - done, at + done)
      at += read
      await new Promise((resolve) => setImmediate(resolve))
      signal?.throwIfAborted()
    }
    fsyncSync(target)
  } finally {
    closeSync(target)
  }
}

function finish(from: StoreLayout, to: StoreLayout): void {
  syncFile(join(to.tables, 'data.mdb'))
  for (const folder of [to.segments, to.tables, to.leases]) syncFolder(folder)
  const temporary = `${to.formatFile}.new`
  writeFileSync(temporary, readFileSync(from.formatFile))
  syncFile(temporary)
  syncFolder(to.root)
  linkSync(temporary, to.formatFile)
  rmSync(temporary)
  syncFolder(to.root)
}

function syncFile(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

function clear(to: StoreLayout): void {
  for (const path of [to.formatFile, `${to.formatFile}.new`, to.tables, to.segments, to.leases]) {
    rmSync(path, { recursive: true, force: true })
  }
}
