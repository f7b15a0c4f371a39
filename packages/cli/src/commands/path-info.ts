import type { StorePath } from '@neve/nix-compat'
import type { ClosureSizes, FormattedPath, NixJsonFormat, PathMetadata, Store } from '@neve/store-pathinfo'
import { Command, Option } from 'commander'
import type { Context, GlobalOptions } from '../context.js'
import { UsageError } from '../messages.js'
import { allPathInfos, checkAll, MissingPathError, named, parseStorePaths } from '../store-paths.js'

interface PathInfoOptions extends GlobalOptions {
  readonly all?: boolean
  readonly recursive?: boolean
  readonly closureSize?: boolean
  readonly size?: boolean
  readonly humanReadable?: boolean
  readonly sigs?: boolean
  readonly json?: boolean
  readonly jsonFormat?: NixJsonFormat
}

const EXAMPLES = `
Examples:
  $ neve path-info -rS /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result
  $ neve path-info --all --json | jq 'map(.narSize) | add'
  $ neve path-info --sigs --size --human-readable /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result

What is printed, and in which columns, is what "nix path-info" prints: the store path, with -s the size of its NAR, with
-S the sum of those of its closure, with --sigs its content address and signatures. Paths come in the order in which they
are named, with -r references first, with --all in the order of the store; columns are lined up, but for --all.
With --json, what "nix path-info --json" prints. --json-format: list, as Nix wrote it until 2.18 and Lix does; 1 or 2, as
newer Nix does when it is asked in the same words.
A path that is not in the store is told, and the status is 1; in JSON it is said there, as Nix does.
`

/** `neve path-info STORE-PATH...|--all`. */
export function pathInfoCommand(context: Context): Command {
  return new Command('path-info')
    .description('Tell what the store knows of store paths: sizes, references, signatures.')
    .argument('[store-path...]', 'store paths, absolute or base names')
    .option('--all', 'every store path of the store')
    .option('-r, --recursive', 'what they reference, too, and so on')
    .option('-S, --closure-size', 'print the sum of the NAR sizes of the closure, in bytes')
    .option('-s, --size', 'print the size of the NAR, in bytes')
    .option('--human-readable', 'print sizes such as 5.7G, in powers of 1024')
    .option('--sigs', 'print signatures')
    .option('--json', 'print JSON as Nix does')
    .addOption(
      new Option('--json-format <format>', 'which of the forms of Nix (default: "list")').choices([
        'list',
        '1',
        '2',
      ]),
    )
    .addHelpText('after', EXAMPLES)
    .action((paths: string[], _: unknown, self: Command) => tell(context, paths, self.optsWithGlobals()))
}

async function tell(context: Context, texts: readonly string[], options: PathInfoOptions): Promise<void> {
  checkAll(texts, options.all, 'path-info')
  if (options.all === true && options.recursive === true) {
    throw new UsageError('--all has everything: it takes no --recursive')
  }
  if (options.jsonFormat !== undefined && options.json !== true) {
    throw new UsageError('--json-format needs --json')
  }
  const paths = parseStorePaths(texts)
  const { ClosureSizes, formatNixPathInfos } = await import('@neve/store-pathinfo')
  await using store = await context.openStore(options, 'read')
  const { stdout, signal } = context.io
  const sizes = options.closureSize === true ? new ClosureSizes(store.pathInfos) : undefined
  const wanted = wantedPaths(store, paths, options, signal)
  if (options.json === true) {
    const sized = withClosureSizes(context, wanted, sizes)
    for await (const piece of formatNixPathInfos(sized, options.jsonFormat)) await stdout.write(piece)
    return
  }
  // What was named is few enough to be lined up.
  const rows = options.all === true ? wanted : await gathered(wanted)
  const width = Array.isArray(rows)
    ? Math.max(...rows.map(({ storePath }) => storePath.toAbsolute().length))
    : 0
  for await (const { storePath, info, closureSize } of withClosureSizes(context, rows, sizes)) {
    if (info === undefined) context.fail(new MissingPathError(storePath))
    else await stdout.write(line(info, closureSize, width, options))
  }
}

async function* wantedPaths(
  store: Store,
  paths: readonly StorePath[],
  { all, recursive }: PathInfoOptions,
  signal: AbortSignal,
): AsyncGenerator<FormattedPath> {
  const { metadataOf, referenceClosure } = await import('@neve/store-pathinfo')
  if (all !== true && recursive !== true) {
    yield* named(paths, async (digest, stop) => metadataOf(store.pathInfos, digest, { signal: stop }), signal)
    return
  }
  const place = 'the store'
  const infos =
    all === true
      ? allPathInfos(store, signal)
      : await referenceClosure(store.pathInfos, paths, { place, signal })
  for await (const info of infos) yield { storePath: info.storePath, info }
}

/** With the sizes of closures; a closure that is not whole is told, and has none. */
async function* withClosureSizes(
  context: Context,
  paths: AsyncIterable<FormattedPath> | Iterable<FormattedPath>,
  sizes: ClosureSizes | undefined,
): AsyncGenerator<FormattedPath> {
  const { signal } = context.io
  for await (const path of paths) {
    signal.throwIfAborted()
    if (sizes === undefined || path.info === undefined) yield path
    else {
      const closureSize = await sizes.of(path.info, { signal }).catch((error: unknown) => {
        signal.throwIfAborted()
        context.fail(error)
        return undefined
      })
      yield { ...path, closureSize }
    }
  }
}

async function gathered<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

function line(
  { storePath, narSize, ca, signatures }: PathMetadata,
  closureSize: bigint | undefined,
  width: number,
  options: PathInfoOptions,
): string {
  const columns: string[] = []
  const size = options.humanReadable === true ? humanSize : (bytes: bigint) => String(bytes).padStart(11)
  if (options.size === true) columns.push(size(narSize))
  if (options.closureSize === true)
    columns.push(closureSize === undefined ? '-'.padStart(11) : size(closureSize))
  if (options.sigs === true)
    columns.push([...(ca === undefined ? [] : [`ca:${ca}`]), ...signatures].join(' '))
  const path = storePath.toAbsolute()
  return `${[columns.length > 0 ? path.padEnd(width) : path, ...columns].join('\t')}\n`
}

/** ` 386.7K`, as Nix has it. */
function humanSize(bytes: bigint): string {
  const units = ' KMGTPEZY'
  let value = Number(bytes)
  let unit = 0
  for (; value > 1024 && unit < units.length - 1; unit++) value /= 1024
  return `${value.toFixed(1).padStart(6)}${units[unit]}`
}
