import { createReadStream, statSync } from 'node:fs'
import type { DirectorySizes } from '@neve/castore-model'
import type { TopLevel } from '@neve/castore-services/ingest/archive'
import type { ImportedArchive, Store } from '@neve/store-pathinfo'
import { Command, Option } from 'commander'
import { archiveNames, type NamedArchive } from '../archive-names.js'
import type { Context, GlobalOptions } from '../context.js'
import { directorySizesOption } from '../directory-sizes.js'
import { importedArchiveJson } from '../import-report.js'
import { UsageError } from '../messages.js'
import { parseSize } from '../numbers.js'
import { counted, formatBytes, formatDuration } from '../output/format.js'
import { startByteProgress } from '../progress/byte-progress.js'

interface ImportArchiveOptions extends GlobalOptions {
  readonly name?: string
  readonly json?: boolean
  readonly topLevel: TopLevel
  readonly maxSize?: number
  readonly directorySizes: DirectorySizes
}

const PIECE = 256 * 1024

const EXAMPLES = `
Examples:
  $ neve import-archive hello-2.12.tar.gz
  /nix/store/8nf6d0k1wv8dkqgq3p9x2bfjnpcxv2yi-hello-2.12

  $ curl -L https://example.org/source.tar.zst | neve import-archive --name source -
  $ neve import-archive --top-level keep --name data data.tar

The store path is the one that builtins.fetchTarball, or nix-store --add, gives the unpacked tree. An archive may be
plain or compressed with gzip, bzip2, xz or zstd; its first bytes tell, not its name. With "strip" it has to have one
directory at the top, whose name does not matter; with "keep" the tree is what unpacking puts into an empty directory.
The name is that of the file without .tar, .tar.gz, .tgz and so on.

Absolute paths, paths out of the archive, devices, FIFOs, hard links to anything but a file or symlink before them,
damaged, truncated and contradictory archives are refused, and so is what is more than --max-size when unpacked. Then
nothing is printed for that archive, the others are imported all the same, and the status is 1.
With --json, one object a line: path, storePath, kind, digest, size, narSize, narHash, files, directories, symlinks,
bytes, archiveBytes.
`

/** `neve import-archive FILE...` (spec 06 section 5). */
export function importArchiveCommand(context: Context): Command {
  return new Command('import-archive')
    .description('Store the trees in tar archives, and print the store paths that Nix gives them.')
    .argument('[file...]', 'archives, compressed or not; - is standard input')
    .option('--name <name>', 'the name in the store path, of a single archive (default: that of the file)')
    .option('--json', 'print one JSON object a line')
    .addOption(
      new Option('--top-level <what>', 'what to do with the directory at the top of the archive')
        .choices(['strip', 'keep'])
        .default('strip'),
    )
    .option(
      '--max-size <size>',
      'how large an archive may be when unpacked: bytes, or 500M, 64G, 1T',
      (text) => parseSize('--max-size', text),
    )
    .addOption(directorySizesOption())
    .addHelpText('after', EXAMPLES)
    .action((files: string[], _: unknown, self: Command) =>
      importArchives(context, files, self.optsWithGlobals()),
    )
}

async function importArchives(
  context: Context,
  files: readonly string[],
  options: ImportArchiveOptions,
): Promise<void> {
  const named = archiveNames(context, files, options.name)
  if (named.length === 0) return
  await using store = await context.openStore(options, 'write')
  const { stdout, stderr } = context.io
  for (const archive of named) {
    const start = performance.now()
    const imported = await importOne(context, store, archive, options)
    if (imported === undefined) continue
    await stdout.write(
      options.json === true
        ? importedArchiveJson(archive.argument, imported)
        : `${imported.storePath.toAbsolute()}\n`,
    )
    await stdout.flush()
    if (context.showsSummary) {
      const read = `${formatBytes(imported.archiveBytes)} read in ${formatDuration(performance.now() - start)}`
      stderr.write(`  ${counted(imported.files, 'file')} · ${formatBytes(imported.bytes)} · ${read}\n`)
    }
  }
}

/** @returns undefined when it failed, which has been told then */
async function importOne(
  context: Context,
  store: Store,
  { argument, path, name }: NamedArchive,
  { topLevel, maxSize, directorySizes, ...options }: ImportArchiveOptions,
): Promise<ImportedArchive | undefined> {
  const { signal } = context.io
  const progress = await startByteProgress(context, options, { what: name, total: sizeOf(path) })
  try {
    return await store.importArchive(contentOf(context, path), {
      name,
      topLevel,
      maxSize,
      directorySizes,
      signal,
      onProgress: ({ archiveBytes }) => progress.update({ bytes: archiveBytes }),
    })
  } catch (error) {
    progress.stop()
    signal.throwIfAborted()
    context.fail(error, argument === '-' ? 'standard input' : argument)
    return undefined
  } finally {
    progress.stop()
  }
}

function contentOf(context: Context, path: string | Uint8Array | undefined): AsyncIterable<Uint8Array> {
  if (path !== undefined) {
    return createReadStream(typeof path === 'string' ? path : Buffer.from(path), { highWaterMark: PIECE })
  }
  const { stdin } = context.io
  if (stdin === undefined) throw new UsageError('there is no standard input to read')
  return stdin
}

/** For the bar. What is not there is told when it is read. */
function sizeOf(path: string | Uint8Array | undefined): bigint | undefined {
  if (path === undefined) return undefined
  try {
    const stat = statSync(typeof path === 'string' ? path : Buffer.from(path))
    return stat.isFile() ? BigInt(stat.size) : undefined
  } catch {
    return undefined
  }
}
