import type { StorePath } from '@neve/nix-compat'
import type { PushedPath, Store } from '@neve/store-pathinfo'
import type { Command } from 'commander'
import type { Context, GlobalOptions } from './context.js'
import { UsageError } from './messages.js'
import { counted, formatBytes, formatDuration } from './output/format.js'
import { jsonLine } from './output/names.js'
import { startBar } from './progress/bar.js'
import { parseStorePaths } from './store-paths.js'

/** Options of `push` and `pull`. */
export interface TransferOptions extends GlobalOptions {
  readonly all?: boolean
  readonly closure: boolean
  readonly recursive?: boolean
  readonly thorough?: boolean
  readonly trustDirectories?: boolean
  readonly checkNars?: boolean
  readonly keepGoing?: boolean
  readonly json?: boolean
}

/** What the help of both commands ends with. */
export const TRANSFER_HELP = `
An ADDRESS is that of a whole store: embedded:/path/to/folder or a folder, grpc+unix:/run/neve.sock,
grpc+http://[::1]:8000, grpc+https://…, objectstore+s3://bucket/prefix and its like, nix+https://cache.example.org
(only to read from), or a composition file (*.toml).

Everything that the store paths reference comes along, references first, as with nix copy. Only what is missing travels,
by files and directories. Each store path is printed once it is safely there with all of its closure; what was there
before is not. What was interrupted, by whatever, goes on where it ended when it is run again.

With --json, one object at the end: paths (of the closure), copiedPaths, presentPaths, directories, blobs, bytes (copied),
readBytes (of them, read from the source), presentBlobs (there before), failedPaths (with --keep-going).
`

/** Adds the options of both commands. */
export function addTransferOptions(command: Command): Command {
  return command
    .option('--all', 'every store path of the source, instead of naming some')
    .option('--no-closure', 'only these store paths, not what they reference')
    .option('--no-recursive', 'the same, as nix copy calls it')
    .option('--thorough', 'look through store paths that are there already, too, and fill holes')
    .option('--trust-directories', 'take a directory that is there for everything below it: fewer questions')
    .option('--check-nars', 'measure every NAR at the target before its path info is put there')
    .option('--keep-going', 'go on with others when a path cannot be copied; the status is 1 all the same')
    .option('--json', 'print one JSON object at the end, instead of store paths')
}

/** @throws UsageError for arguments that do not go together, or are no store paths */
export function transferRoots(texts: readonly string[], options: TransferOptions): readonly StorePath[] {
  if (options.all === true && texts.length > 0) {
    throw new UsageError('--all takes no store paths: it stands for all of them')
  }
  if (options.all !== true && texts.length === 0) {
    throw new UsageError('expected store paths, or --all')
  }
  if (options.thorough === true && options.trustDirectories === true) {
    throw new UsageError('--thorough and --trust-directories cannot be given together')
  }
  return parseStorePaths(texts)
}

/** Copies store paths, and tells what was done. */
export async function transfer(
  context: Context,
  sides: { readonly from: Store; readonly to: Store },
  named: readonly StorePath[],
  label: string,
  options: TransferOptions,
): Promise<void> {
  const { stdout, stderr, signal } = context.io
  const { pushClosure } = await import('@neve/store-pathinfo')
  const totals = new TransferTotals()
  const bar = await startBar(context, options, label)
  try {
    const roots = options.all === true ? await allPaths(sides.from, signal) : named
    const pushed = pushClosure(sides, roots, {
      closure: options.closure && options.recursive !== false,
      thorough: options.thorough,
      trustDirectories: options.trustDirectories,
      checkNars: options.checkNars,
      signal,
      ...(options.keepGoing === true && {
        onFailure: (storePath: StorePath, error: unknown) => {
          totals.fail()
          context.fail(error, storePath.toAbsolute())
        },
      }),
      onProgress: ({ paths, donePaths, bytes, doneBytes }) => {
        bar.setTotals({ bytes, paths })
        bar.update({ bytes: doneBytes, paths: donePaths })
      },
    })
    for await (const path of pushed) {
      totals.add(path)
      if (options.json === true || path.present) continue
      await stdout.write(`${path.storePath.toAbsolute()}\n`)
      await stdout.flush()
    }
  } finally {
    bar.stop()
  }
  if (options.json === true) await stdout.write(totals.json())
  if (stderr.isTerminal) stderr.write(`  ${totals.summary()}\n`)
}

async function allPaths(store: Store, signal: AbortSignal): Promise<StorePath[]> {
  const paths: StorePath[] = []
  for await (const { storePath } of store.pathInfos.list({ signal })) paths.push(storePath)
  return paths
}

/** Adds up what was copied. */
class TransferTotals {
  readonly #counts = {
    paths: 0,
    copiedPaths: 0,
    presentPaths: 0,
    directories: 0,
    blobs: 0,
    bytes: 0,
    readBytes: 0,
    presentBlobs: 0,
    failedPaths: 0,
  }
  readonly #start = performance.now()

  add(path: PushedPath): void {
    const counts = this.#counts
    counts.paths++
    if (path.present) counts.presentPaths++
    else counts.copiedPaths++
    for (const key of ['directories', 'blobs', 'bytes', 'readBytes', 'presentBlobs'] as const) {
      counts[key] += path[key]
    }
  }

  fail(): void {
    this.#counts.failedPaths++
  }

  json(): string {
    return jsonLine(this.#counts)
  }

  /** `12 store paths, 40,112 blobs, 146 MB in 0.9 s · 288 store paths there already`. */
  summary(): string {
    const { copiedPaths, presentPaths, blobs, bytes, readBytes } = this.#counts
    const copied = [counted(copiedPaths, 'store path'), counted(blobs, 'blob'), formatBytes(bytes)]
    const parts = [`${copied.join(', ')} in ${formatDuration(performance.now() - this.#start)}`]
    if (readBytes < bytes) parts.push(`${formatBytes(bytes - readBytes)} in chunks that were there already`)
    if (presentPaths > 0) parts.push(`${counted(presentPaths, 'store path')} there already`)
    return parts.join(' · ')
  }
}
