import type { DirectorySizes } from '@neve/castore-model'
import type { StorePath } from '@neve/nix-compat'
import type { MigratedPath } from '@neve/store-pathinfo/migrate'
import { Command, Option } from 'commander'
import type { Context, GlobalOptions } from '../context.js'
import { nodeJson } from '../import-report.js'
import { counted, formatBytes, formatDuration } from '../output/format.js'
import { jsonLine } from '../output/names.js'
import { startBar } from '../progress/bar.js'
import { refuseStoreOptions } from '../store-options.js'

interface MigrateOptions extends GlobalOptions {
  readonly directorySizes?: DirectorySizes
  readonly checkNars: boolean
  readonly keepGoing?: boolean
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ neve store migrate /var/lib/neve objectstore+s3://bucket/prefix
  $ neve store migrate grpc+http://[::1]:8000 /var/lib/neve --directory-sizes once
  $ neve store migrate /var/lib/neve /var/lib/neve --directory-sizes once --json

Copies all store paths of one store to another of any kind: blobs, directories, path infos with their signatures, and
between embedded stores the roots that garbage collection goes by. FROM and TO are addresses of whole stores, as for push
and pull. Every byte is compared with its digest as it is read and as it is stored, and TO measures each NAR before its path
info is put there. What is there already does not travel, so what was interrupted goes on where it ended.

--directory-sizes once makes directories anew that count entries twice (those of Tvix from August 2024, of Snix until
mid 2026, and of --directory-sizes twice), and points the path infos to them; twice does the reverse. Contents, NARs and
signatures stay as they are; digests of directories change. FROM and TO may be the same store: then what is no longer
referred to stays until garbage is collected.

Each store path is printed once it is safely at TO; what was there as it is to be, is not. With --json, one object for each
that is copied or changed (storePath, before and after where its root changed, rewrittenDirectories, bytes), and one at the
end: paths, copiedPaths, presentPaths, repointedPaths, rewrittenDirectories, directories, blobs, bytes, roots, failedPaths.
`

/** `neve store migrate FROM TO`. */
export function storeMigrateCommand(context: Context): Command {
  return new Command('migrate')
    .description('Copy all of a store to another one of any kind.')
    .argument('<from>', 'the address of a whole store')
    .argument('<to>', 'the address of another one')
    .addOption(
      new Option('--directory-sizes <rule>', 'make directories anew that count entries otherwise').choices([
        'once',
        'twice',
      ]),
    )
    .option('--no-check-nars', 'do not have the target measure each NAR')
    .option('--keep-going', 'go on with others when a path cannot be copied; the status is 1 all the same')
    .option('--json', 'print JSON objects, one a line')
    .addHelpText('after', EXAMPLES)
    .action((from: string, to: string, _: unknown, self: Command) =>
      migrate(context, { from, to }, self.optsWithGlobals()),
    )
}

async function migrate(
  context: Context,
  addresses: { readonly from: string; readonly to: string },
  options: MigrateOptions,
): Promise<void> {
  refuseStoreOptions(options, 'store migrate')
  const [{ openStore }, { migrateRoots, migrateStore }] = await Promise.all([
    import('@neve/store-pathinfo'),
    import('@neve/store-pathinfo/migrate'),
  ])
  const { stdout, stderr, signal } = context.io
  await using from = await openStore(addresses.from, { readOnly: true })
  await using to = await openStore(addresses.to)
  const totals = new MigrationTotals()
  const bar = await startBar(context, options, 'migrate')
  try {
    const migrated = migrateStore(
      { from, to },
      {
        directorySizes: options.directorySizes,
        checkNars: options.checkNars,
        signal,
        ...(options.keepGoing === true && {
          onFailure: (storePath: StorePath, error: unknown) => {
            totals.counts.failedPaths++
            context.fail(error, storePath.toAbsolute())
          },
        }),
        onProgress: ({ paths, donePaths, bytes, doneBytes }) => {
          bar.setTotals({ bytes, paths })
          bar.update({ bytes: doneBytes, paths: donePaths })
        },
      },
    )
    for await (const path of migrated) {
      totals.add(path)
      if (path.present) continue
      await stdout.write(options.json === true ? pathJson(path) : `${path.storePath.toAbsolute()}\n`)
      await stdout.flush()
    }
    totals.counts.roots = await migrateRoots({ from, to }, { signal })
  } finally {
    bar.stop()
  }
  if (options.json === true) await stdout.write(jsonLine(totals.counts))
  if (stderr.isTerminal) stderr.write(`  ${totals.summary()}\n`)
}

function pathJson({ storePath, repointed, rewrittenDirectories, bytes }: MigratedPath): string {
  return jsonLine({
    storePath: storePath.toAbsolute(),
    ...(repointed && { before: nodeJson(repointed.before), after: nodeJson(repointed.after) }),
    rewrittenDirectories,
    bytes,
  })
}

/** Adds up what was done. */
class MigrationTotals {
  readonly counts = {
    paths: 0,
    copiedPaths: 0,
    presentPaths: 0,
    repointedPaths: 0,
    rewrittenDirectories: 0,
    directories: 0,
    blobs: 0,
    bytes: 0,
    roots: 0,
    failedPaths: 0,
  }
  readonly #start = performance.now()

  add(path: MigratedPath): void {
    const { counts } = this
    counts.paths++
    if (path.present) counts.presentPaths++
    else counts.copiedPaths++
    if (path.repointed !== undefined) counts.repointedPaths++
    for (const key of ['rewrittenDirectories', 'directories', 'blobs', 'bytes'] as const) {
      counts[key] += path[key]
    }
  }

  /** `12 store paths, 40,112 blobs, 146 MB in 0.9 s · 3 with directories made anew · 288 store paths there already`. */
  summary(): string {
    const { copiedPaths, presentPaths, repointedPaths, blobs, bytes } = this.counts
    const copied = [counted(copiedPaths, 'store path'), counted(blobs, 'blob'), formatBytes(bytes)]
    const parts = [`${copied.join(', ')} in ${formatDuration(performance.now() - this.#start)}`]
    if (repointedPaths > 0) parts.push(`${counted(repointedPaths, 'store path')} with directories made anew`)
    if (presentPaths > 0) parts.push(`${counted(presentPaths, 'store path')} there already`)
    return parts.join(' · ')
  }
}
