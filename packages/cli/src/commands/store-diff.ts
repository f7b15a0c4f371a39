import { escapeBytes, type Node } from '@neve/castore-model'
import type { PathInfo, Store } from '@neve/store-pathinfo'
import type { DiffTotals, TreeDifference } from '@neve/store-pathinfo/inspect'
import { Command } from 'commander'
import { checkAddress, resolveAddress } from '../address.js'
import type { Context, GlobalOptions } from '../context.js'
import { counted, formatBytes } from '../output/format.js'
import { jsonBytes, jsonLine } from '../output/names.js'

interface DiffOptions extends GlobalOptions {
  readonly shared?: boolean
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ neve store diff /nix/store/6v9…-result /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result
  $ neve store diff --shared /nix/store/6v9…-result/bin /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result/bin
  $ neve store diff --json blake3-rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI= blake3-…

Each place where the two differ is one line, in order of names: + what only the second has, - what only the first has
(a directory with all that is in it), ~ a file of other content or a symlink with another target, ! what is of another
type, x a file that became executable or is not any more. The last line has sums, each different file counted once:
bytes that the first has and the second has not, the reverse, and how many of the latter the first has elsewhere (moved
files, and chunks of files that changed). --shared also adds up what both have, and reads what is equal to that end.

Directories with equal digests are not read, however large they are. Nothing but directories and chunk lists is read.

With --json, one object for each difference: path, kind (added, removed, changed, type-changed, executable), before,
after (type, size, executable or target); and one at the end: differences, directoriesRead, removedBytes, addedBytes,
reusedBytes, sharedBytes, beforeNarSize, afterNarSize.

The exit status is 0 whether they differ or not.
`

/** `neve store diff A B`. */
export function storeDiffCommand(context: Context): Command {
  return new Command('diff')
    .description('Tell how two trees differ, and how much they share.')
    .argument('<address>', 'a store path or digest')
    .argument('<other>', 'another one')
    .option('--shared', 'add up what both have, too')
    .option('--json', 'print JSON objects, one a line')
    .addHelpText('after', EXAMPLES)
    .action((one: string, other: string, _: unknown, self: Command) =>
      diff(context, [one, other], self.optsWithGlobals()),
    )
}

async function diff(
  context: Context,
  addresses: readonly [string, string],
  options: DiffOptions,
): Promise<void> {
  for (const address of addresses) await checkAddress(address)
  const { TreeDiff } = await import('@neve/store-pathinfo/inspect')
  await using store = await context.openStore(options, 'read')
  const { stdout, signal } = context.io
  const [before, after] = [
    await resolveAddress(store, addresses[0]),
    await resolveAddress(store, addresses[1]),
  ]
  const trees = new TreeDiff(store, { shared: options.shared, signal })
  let differences = 0
  for await (const difference of trees.differences(before.node, after.node)) {
    differences++
    await stdout.write(options.json === true ? differenceJson(difference) : differenceLine(difference))
  }
  const totals = await trees.totals()
  if (options.json === true) {
    const narSizes = {
      beforeNarSize: (await wholePath(store, before))?.narSize,
      afterNarSize: (await wholePath(store, after))?.narSize,
    }
    await stdout.write(jsonLine({ differences, ...totals, ...narSizes }))
  } else await stdout.write(`${summary(differences, totals)}\n`)
}

/** The path info, where a whole store path was named. */
async function wholePath(
  store: Store,
  { storePath, path }: Awaited<ReturnType<typeof resolveAddress>>,
): Promise<PathInfo | undefined> {
  if (storePath === undefined || path.bytes.length > 0) return undefined
  return store.pathInfos.get(storePath.digest)
}

const MARKS = { added: '+', removed: '-', changed: '~', 'type-changed': '!', executable: 'x' } as const

function differenceLine({ kind, path, before, after }: TreeDifference): string {
  const where = path.length === 0 ? '.' : escapeBytes(path)
  const details = [before, after].flatMap((node) => (node === undefined ? [] : [nodeText(node)]))
  return `${MARKS[kind]} ${where}  ${details.join(' → ')}\n`
}

function nodeText(node: Node): string {
  if (node.kind === 'directory') return 'directory'
  if (node.kind === 'symlink') return `symlink to ${escapeBytes(node.target.bytes)}`
  return `${node.executable ? 'executable ' : ''}${formatBytes(node.size)}`
}

function differenceJson({ kind, path, before, after }: TreeDifference): string {
  return jsonLine({ ...jsonBytes('path', path), kind, before: nodeJson(before), after: nodeJson(after) })
}

function nodeJson(node: Node | undefined): object | undefined {
  if (node === undefined) return undefined
  if (node.kind === 'symlink') return { type: 'symlink', ...jsonBytes('target', node.target.bytes) }
  const digest = node.digest.toSri()
  if (node.kind === 'directory') return { type: 'directory', digest }
  return { type: 'regular', digest, size: node.size, executable: node.executable }
}

/** `3 differences · 12 MB removed · 13 MB added, 10 MB of it known · 134 MB shared`. */
function summary(differences: number, totals: DiffTotals): string {
  const { removedBytes, addedBytes, reusedBytes, sharedBytes } = totals
  const known = reusedBytes === 0n ? '' : `, ${formatBytes(reusedBytes)} of it known`
  const parts = [
    counted(differences, 'difference'),
    `${formatBytes(removedBytes)} removed`,
    `${formatBytes(addedBytes)} added${known}`,
  ]
  if (sharedBytes !== undefined) parts.push(`${formatBytes(sharedBytes)} shared`)
  return parts.join(' · ')
}
