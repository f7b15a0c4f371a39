import type { DirectorySizes } from '@neve/castore-model'
import type { ImportedPath, Store } from '@neve/store-pathinfo'
import { Command } from 'commander'
import { hostPath } from '../arguments.js'
import type { Context, GlobalOptions } from '../context.js'
import { directorySizesOption } from '../directory-sizes.js'
import { checkImportName, importNames, type NamedPath } from '../import-names.js'
import { ImportTotals, importedJson } from '../import-report.js'
import { UsageError } from '../messages.js'
import { startImportProgress } from '../progress/import-progress.js'
import { rootAdder } from '../roots.js'

interface ImportOptions extends GlobalOptions {
  readonly name?: string
  readonly addRoot?: string
  readonly json?: boolean
  readonly directorySizes: DirectorySizes
  readonly fileCache: boolean
}

const EXAMPLES = `
Examples:
  $ neve import ./result
  /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result

  $ neve import --name source .
  $ neve import --json a b | jq -r .narHash
  $ neve import --add-root result ./result

Store paths are printed in the order of the arguments, each once it is safely on disk. All names are checked first;
a path that cannot be imported is reported, and the others are imported all the same.
With --json, one object a line: path, storePath, kind, digest (or target), executable (of files), narSize, narHash,
files, directories, symlinks, bytes, newBytes (not in the store before), storedBytes (written for them).
`

/** `neve import PATH...` (spec 08 section 3.2). */
export function importCommand(context: Context): Command {
  return new Command('import')
    .description('Store files and directories, and print the store paths that Nix gives them.')
    .argument('[path...]', 'what to store; links are stored as links')
    .option(
      '--name <name>',
      'the name in the store path, of a single path (default: the last part of the path)',
    )
    .option(
      '--add-root <name>',
      'keep a single path when garbage is collected, under this name (see "neve root")',
    )
    .option('--json', 'print one JSON object a line')
    .addOption(directorySizesOption())
    .option('--no-file-cache', 'read every file, even if it looks unchanged since its last import')
    .addHelpText('after', EXAMPLES)
    .action((paths: string[], _: unknown, self: Command) =>
      importPaths(context, paths, self.optsWithGlobals()),
    )
}

async function importPaths(
  context: Context,
  paths: readonly string[],
  options: ImportOptions,
): Promise<void> {
  if (options.name !== undefined) {
    if (paths.length !== 1) throw new UsageError(`--name needs exactly one path, got ${paths.length}`)
    checkImportName(options.name)
  }
  if (options.addRoot !== undefined && paths.length !== 1) {
    throw new UsageError(`--add-root needs exactly one path, got ${paths.length}`)
  }
  const named = importNames(context, paths, options.name)
  if (named.length === 0) return
  await using store = await context.openStore(options, 'write')
  const addRoot = options.addRoot === undefined ? undefined : rootAdder(context, options, store)
  const totals = new ImportTotals()
  for (const path of named) {
    const imported = await importOne(context, store, path, options)
    if (imported === undefined) continue
    // As long as the store is open, what was imported is no garbage.
    await addRoot?.({ name: options.addRoot!, target: imported.storePath })
    totals.add(imported)
    const { stdout } = context.io
    await stdout.write(
      options.json === true ? importedJson(path.argument, imported) : `${imported.storePath.toAbsolute()}\n`,
    )
    await stdout.flush()
  }
  if (totals.paths > 0 && context.showsSummary) context.io.stderr.write(`  ${totals.summary()}\n`)
}

/** @returns undefined when it failed, which has been told then */
async function importOne(
  context: Context,
  store: Store,
  { argument, path, name }: NamedPath,
  options: ImportOptions,
): Promise<ImportedPath | undefined> {
  const { signal } = context.io
  const progress = await startImportProgress(context, options, hostPath(argument), name)
  try {
    const { directorySizes, fileCache } = options
    return await store.importPath(path, {
      name,
      directorySizes,
      fileCache,
      signal,
      onProgress: progress.update,
    })
  } catch (error) {
    progress.stop()
    signal.throwIfAborted()
    context.fail(error, namesPath(error) ? undefined : argument)
    return undefined
  } finally {
    progress.stop()
  }
}

/** Whether the message says which path failed: below the argument, that is a better place to look than the argument. */
function namesPath(error: unknown): boolean {
  return error instanceof Error && error.name === 'IngestPathError'
}
