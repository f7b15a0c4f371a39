import type { DirectorySizes } from '@neve/castore-model'
import type { CopiedPath, PathMetadata, Store } from '@neve/store-pathinfo'
import { Command } from 'commander'
import type { Context, GlobalOptions } from '../context.js'
import { directorySizesOption } from '../directory-sizes.js'
import { checkInputs, inputName, readInput } from '../input.js'
import { describe, UsageError } from '../messages.js'
import { counted, formatBytes, formatDuration } from '../output/format.js'
import { jsonLine } from '../output/names.js'
import { startBar } from '../progress/bar.js'
import { environmentVariable, isOn } from '../store-options.js'

interface CopyOptions extends GlobalOptions {
  readonly jsonl?: boolean
  readonly root?: string
  readonly verify: boolean
  readonly keepGoing?: boolean
  readonly json?: boolean
  readonly directorySizes: DirectorySizes
}

const EXAMPLES = `
Examples:
  $ neve copy --keep-going closure.json
  /nix/store/7n0mbqydcipkpbxm24fab066lxk68aqk-libunistring-1.1
  $ nix path-info --json --recursive /run/current-system | neve copy -
  $ nix path-info --store /mnt/image --json --all | neve copy --root /mnt/image -

Copies store paths that are on this machine into the store, with what Nix says of them: references, deriver, content
address and signatures. FILE is what "nix path-info --json" of any version prints, or the structured attributes of a
build with exportReferencesGraph.closure; - is standard input, and of a unix socket is read what it sends. Without FILE
it is $NIX_ATTRS_JSON_FILE. --jsonl takes one object a line.

What is in the store stays as it is, but for signatures that it lacks. Each path that was copied is printed, references
before what references them, once it is safely on disk. The NAR hash and size of what is read have to be those that are
described; --no-verify believes the description, which is quicker only where reading is quicker than SHA-256. The first
path that cannot be copied ends it; with --keep-going, only what references it is left out too, and the status is 1.
With --json, one object a line for every path: storePath, status (copied, present, failed), narSize, newBytes, error.
`

/** `neve copy [FILE]` (spec 08 section 3.3). */
export function copyCommand(context: Context): Command {
  return new Command('copy')
    .description('Copy store paths of this machine into the store, with what Nix says of them.')
    .argument('[file]', 'what nix path-info --json prints; - is standard input')
    .option('--jsonl', 'it is one JSON object a line (default: $NEVE_JSONL)')
    .option('--root <dir>', 'the folder that nix/store is in, as of nix --store (default: "/")')
    .option('--verify', 'check NAR hash and size of what is read (default)')
    .option('--no-verify', 'believe the hashes that are described')
    .option('--keep-going', 'go on with others when a path cannot be copied')
    .option('--json', 'print one JSON object a line')
    .addOption(directorySizesOption())
    .addHelpText('after', EXAMPLES)
    .action((file: string | undefined, _: unknown, self: Command) =>
      copy(context, file ?? environmentVariable('NIX_ATTRS_JSON_FILE'), self.optsWithGlobals()),
    )
}

async function copy(context: Context, file: string | undefined, options: CopyOptions): Promise<void> {
  if (file === undefined) throw new UsageError('copy needs a file, -, or $NIX_ATTRS_JSON_FILE')
  checkInputs([file])
  if (options.root === '') throw new UsageError('--root needs a folder, got ""')
  const described = await readDescriptions(context, file, options)
  if (described.length === 0) return
  await using store = await context.openStore(options, 'write')
  const start = performance.now()
  const counts = { copied: 0, present: 0, failed: 0, bytes: 0n }
  for await (const path of copying(context, store, described, options)) {
    counts[path.status]++
    if (path.status === 'copied') counts.bytes += path.narSize
    await tell(context, path, options)
    if (path.status === 'failed' && options.keepGoing !== true) break
  }
  const { stderr } = context.io
  if (!stderr.isTerminal) return
  const took = `${formatBytes(counts.bytes)} in ${formatDuration(performance.now() - start)}`
  const parts = [`${counted(counts.copied, 'path')} copied, ${took}`]
  if (counts.present > 0) parts.push(`${counts.present} there already`)
  stderr.write(`  ${parts.join(' · ')}\n`)
}

async function readDescriptions(
  context: Context,
  file: string,
  options: CopyOptions,
): Promise<PathMetadata[]> {
  const { readNixPathInfos } = await import('@neve/store-pathinfo')
  const lines = options.jsonl === true || isOn(environmentVariable('JSONL'))
  try {
    return await readNixPathInfos(readInput(context, file), { lines, signal: context.io.signal })
  } catch (error) {
    context.io.signal.throwIfAborted()
    const { name, message } = error instanceof Error ? error : { name: '', message: String(error) }
    if (name !== 'StoreError') throw error
    throw new DescriptionError(`${inputName(file)}: ${message}`, { cause: error })
  }
}

/** What should describe store paths does not. */
class DescriptionError extends Error {
  override readonly name = 'DescriptionError'
  readonly code = 'description'
}

async function* copying(
  context: Context,
  store: Store,
  described: readonly PathMetadata[],
  options: CopyOptions,
): AsyncGenerator<CopiedPath> {
  const { root, verify, directorySizes } = options
  const bar = await startBar(context, options, 'copying')
  bar.setTotals({
    files: described.length,
    bytes: described.reduce((sum, { narSize }) => sum + Number(narSize), 0),
  })
  let files = 0
  let bytes = 0
  try {
    const outcomes = store.copyPaths(described, {
      root,
      verify,
      directorySizes,
      keepGoing: options.keepGoing,
      signal: context.io.signal,
    })
    for await (const path of outcomes) {
      files++
      if (path.status !== 'failed') bytes += Number(path.narSize)
      bar.update({ files, bytes })
      yield path
    }
  } finally {
    bar.stop()
  }
}

async function tell(context: Context, path: CopiedPath, { json }: CopyOptions): Promise<void> {
  const { stdout, debug } = context.io
  const storePath = path.storePath.toAbsolute()
  if (path.status === 'failed') context.fail(path.error, storePath)
  if (json === true) {
    const { error, ...members } = { error: undefined, ...path }
    const reason = path.status === 'failed' ? { error: describe(error, debug) } : {}
    await stdout.write(jsonLine({ ...members, storePath, ...reason }))
  } else if (path.status === 'copied') await stdout.write(`${storePath}\n`)
  await stdout.flush()
}
