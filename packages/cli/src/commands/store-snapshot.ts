import { Command } from 'commander'
import type { Context, GlobalOptions } from '../context.js'
import { openEmbedded } from '../local-store.js'
import { UsageError } from '../messages.js'
import { counted, formatBytes } from '../output/format.js'
import { jsonLine } from '../output/names.js'

interface SnapshotOptions extends GlobalOptions {
  readonly copy?: boolean
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ neve store snapshot /var/lib/neve-2026-11-21
  $ neve store snapshot --copy /mnt/backup/neve
  $ neve verify --store /mnt/backup/neve --all

Makes a store in an empty or absent folder, with everything that is in this embedded store and acknowledged now. Others go
on reading and writing meanwhile, and wait for nothing. On the same file system it takes as much space as the tables and
the newest segment: full segments are shared, by reflink or hard link. These are the same blocks on the disk, so damage to
one is damage to both; --copy shares nothing, nor does a folder on another file system.

With --json, one object: path, segments, sharedBytes, copiedBytes, tableBytes.
`

/** `neve store snapshot DIR`. */
export function storeSnapshotCommand(context: Context): Command {
  return new Command('snapshot')
    .description('Make a store of its own of all that is in a store now.')
    .argument('<dest>', 'an empty or absent folder')
    .option('--copy', 'share nothing with the store: a copy that damage to the one leaves whole')
    .option('--json', 'print one JSON object')
    .addHelpText('after', EXAMPLES)
    .action((path: string, _: unknown, self: Command) => snapshot(context, path, self.optsWithGlobals()))
}

async function snapshot(context: Context, path: string, options: SnapshotOptions): Promise<void> {
  if (path === '') throw new UsageError('expected a folder to make the snapshot in')
  await using store = await openEmbedded(context, options, 'read', 'store snapshot')
  const { stdout, stderr, signal } = context.io
  const report = await store.engine.snapshot(path, { copy: options.copy, signal })
  if (options.json === true) await stdout.write(jsonLine({ path, ...report }))
  if (!stderr.isTerminal) return
  const { segments, sharedBytes, copiedBytes, tableBytes } = report
  const copied = formatBytes(copiedBytes + tableBytes)
  stderr.write(`  ${counted(segments, 'segment')}, ${formatBytes(sharedBytes)} shared · ${copied} copied\n`)
}
