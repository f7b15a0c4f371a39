import type { CollectedGarbage, CollectGarbageOptions, CollectProgress } from '@neve/store-pathinfo/gc'
import { Command } from 'commander'
import type { Context, GlobalOptions } from '../context.js'
import { compositionFile, gcTargets, type RetentionFlags, retentionRules } from '../gc-targets.js'
import { giveWay } from '../give-way.js'
import { UsageError } from '../messages.js'
import { parseDuration, parseSize } from '../numbers.js'
import { objectStoreAddress } from '../object-store-address.js'
import { counted, formatBytes } from '../output/format.js'
import { reasonLine, reasonsJson } from '../output/garbage.js'
import { jsonLine } from '../output/names.js'
import { startBar } from '../progress/bar.js'
import { collectObjectStore } from './gc-objects.js'

interface GcOptions extends GlobalOptions, RetentionFlags {
  readonly dryRun?: boolean
  readonly olderThan?: string
  readonly all?: boolean
  readonly maxFreed?: string
  readonly wait?: string
  readonly grace?: string
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ neve root add result /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result
  $ neve gc --dry-run
  $ neve gc
  $ neve gc --keep-used-within 30d --max-size 100G
  $ neve gc --older-than 30d --max-freed 10G --json

What is kept: what roots lead to (see "neve root"), what was put or used within the last hour, or within --older-than, and
everything that these refer to. The rest is garbage: store paths, directories and contents. Without a root that leads to
anything, nothing is removed, unless one of the options that say what is kept, or --all, is given.

--keep-used-within keeps what was used for longer than that hour. --max-size keeps what was used last, as far as the whole
store then takes no more, as it is stored and compressed; what has a root, or was used within --older-than, stays in any
case. Both together: what was used within the time, and of that what fits. A composition file may say the same of its
path infos, as keep_used_within and max_size.

Others may read and write meanwhile. What is garbage is removed once all who had the store open for writing when it was
found have closed it; --wait says how long to wait for them, and the next run goes on from there. Printed are the store
paths that are garbage, one a line; with --json, one object: paths, reasons, keptPaths, directories, contents,
contentBytes (as they are stored), freedBytes (what the file system got back), damagedSegments, waitingFor (process ids),
dryRun.

Of an object store (objectstore+…) nothing is removed that was written or counted on within --grace, which is kept with
the store: uploads have to take less than half of it. The first run, and one with another --grace, only tells what is
garbage, and when to run it again. --max-size counts all that stays there, what is too young to go first of all; --wait
means nothing. With --json: paths, reasons, keptPaths, objects, contentBytes, freedBytes, notBefore, dryRun.

The exit status is 0 when all that is garbage is gone; 1 when somebody still had the store open, or it is too early.
`

/** `neve gc`. */
export function gcCommand(context: Context): Command {
  return new Command('gc')
    .description('Remove what no root keeps, and give its space back.')
    .option('--dry-run', 'only tell what is garbage')
    .option('--older-than <duration>', 'keep what was stored or used within this time, such as 12h or 30d')
    .option('--keep-used-within <duration>', 'keep what was used within this time, such as 30d')
    .option('--max-size <size>', 'keep at most so much, what was used last, such as 100G')
    .option('--all', 'remove everything when no root keeps anything')
    .option('--max-freed <size>', 'give back no more once this much is free again, such as 10G')
    .option('--wait <duration>', 'how long to wait for those who write', '1m')
    .option(
      '--grace <duration>',
      'of an object store: keep what was written or counted on within this time (24h)',
    )
    .option('--json', 'print a JSON object')
    .addHelpText('after', EXAMPLES)
    .action((_: unknown, self: Command) => collect(context, self.optsWithGlobals()))
}

async function collect(context: Context, options: GcOptions): Promise<void> {
  const { olderThan, maxFreed, wait, dryRun = false, all } = options
  const settings = {
    dryRun,
    all,
    olderThan: olderThan === undefined ? undefined : parseDuration('--older-than', olderThan),
    maxFreed: maxFreed === undefined ? undefined : parseSize('--max-freed', maxFreed),
    patience: wait === undefined ? undefined : parseDuration('--wait', wait),
    signal: context.io.signal,
  }
  const grace = options.grace === undefined ? undefined : parseDuration('--grace', options.grace)
  const objects = objectStoreAddress(options)
  if (objects !== undefined) {
    const rules = retentionRules(options)
    return collectObjectStore(context, options, objects, { ...settings, ...rules, grace })
  }
  const isComposed = (await compositionFile(options)) !== undefined
  if (grace !== undefined && !isComposed) throw new UsageError('--grace is for object stores')
  const targets = await gcTargets(context, options)
  giveWay()
  for (const { path, rules, isObjectStore } of targets) {
    if (isObjectStore === true) {
      await collectObjectStore(context, options, path, { ...settings, ...rules, grace })
      continue
    }
    const collected = await collectIn(context, path, { ...settings, ...rules }, options)
    await tell(context, path, collected, options)
  }
}

async function collectIn(
  context: Context,
  path: string,
  settings: CollectGarbageOptions,
  options: GcOptions,
): Promise<CollectedGarbage> {
  const { collectGarbage } = await import('@neve/store-pathinfo/gc')
  const bar = await startBar(context, options, 'gc')
  try {
    const onProgress = (progress: CollectProgress): void => {
      if (progress.step === 'mark')
        bar.update({ bytes: 0, paths: progress.paths, entries: progress.directories })
      if (progress.step === 'sweep') {
        bar.setTotals({ entries: progress.garbage })
        bar.update({ bytes: 0, entries: progress.removed })
      }
      if (progress.step === 'compact') bar.update({ bytes: progress.freedBytes })
    }
    return await collectGarbage(path, { ...settings, onProgress })
  } finally {
    bar.stop()
  }
}

async function tell(
  context: Context,
  store: string,
  collected: CollectedGarbage,
  options: GcOptions,
): Promise<void> {
  const { stdout, stderr } = context.io
  const { paths, directories, contents, contentBytes, freedBytes, damagedSegments, waitingFor } = collected
  const pids = waitingFor.map(({ pid }) => pid)
  if (options.json === true) {
    const { keptPaths } = collected
    const counts = { keptPaths, directories, contents, contentBytes, freedBytes, damagedSegments }
    await stdout.write(
      jsonLine({
        store,
        paths: paths.map((path) => path.toAbsolute()),
        reasons: reasonsJson(collected.reasons),
        ...counts,
        waitingFor: pids,
        dryRun: options.dryRun === true,
      }),
    )
  } else {
    for (const path of collected.reasons) await stdout.write(reasonLine(path, options.dryRun === true))
  }
  if (context.showsSummary) {
    const found = `${counted(paths.length, 'store path')}, ${counted(directories, 'directory', 'directories')}, ${formatBytes(contentBytes)} of contents`
    stderr.write(
      options.dryRun === true ? `  garbage: ${found}\n` : `  ${found} · ${formatBytes(freedBytes)} freed\n`,
    )
  }
  if (damagedSegments > 0) {
    context.fail(
      new Error(`${counted(damagedSegments, 'segment')} with damage stayed as they are: run neve verify`),
    )
  }
  if (pids.length === 0) return
  context.fail(
    new Error(
      `not removed yet: ${counted(pids.length, 'process', 'processes')} had the store open for writing and still ${pids.length === 1 ? 'has' : 'have'} (${pids.join(', ')}); run neve gc again when ${pids.length === 1 ? 'it has' : 'they have'} closed it`,
    ),
  )
}
