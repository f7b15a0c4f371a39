import type { Directory, DirectoryEntry, Node } from '@neve/castore-model'
import type { Store } from '@neve/store-pathinfo'
import { Command } from 'commander'
import { resolveAddress } from '../address.js'
import type { Context, GlobalOptions } from '../context.js'
import { nodeJson } from '../import-report.js'
import type { Output } from '../io.js'
import { jsonBytes, jsonLine, shown } from '../output/names.js'

interface LsOptions extends GlobalOptions {
  readonly long?: boolean
  readonly recursive?: boolean
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ neve ls /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result
  $ neve ls -l /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result/bin
  $ neve ls -R --json blake3-rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI=

The columns of -l: mode, size in bytes (of a directory: how many entries it has, all below it included), name.
Entries come in the order of their bytes. On a terminal, control characters and bytes that are no UTF-8 are escaped;
elsewhere names are printed as they are. With --json, one object a line: name, kind, size, digest, executable, target;
where a name or target is no UTF-8, nameBase64 or targetBase64 has its exact bytes.
`

/** `neve ls ADDRESS`. */
export function lsCommand(context: Context): Command {
  return new Command('ls')
    .description('List a directory of the store; of anything else, the thing itself.')
    .argument('<address>', 'a store path or digest, with or without /sub/path')
    .option('-l, --long', 'print modes, sizes and link targets too')
    .option('-R, --recursive', 'list everything below, by path')
    .option('--json', 'print one JSON object a line')
    .addHelpText('after', EXAMPLES)
    .action((address: string, _: unknown, self: Command) => list(context, address, self.optsWithGlobals()))
}

async function list(context: Context, address: string, options: LsOptions): Promise<void> {
  await using store = await context.openStore(options, 'read')
  const { node, path, storePath } = await resolveAddress(store, address)
  const { stdout, signal } = context.io
  const width = options.long === true ? await sizeWidth(store, node, options) : 0
  for await (const entry of entries(store, node, options)) {
    signal.throwIfAborted()
    const name = entry?.name ?? path.fileName?.bytes ?? Buffer.from(storePath?.toString() ?? address)
    await stdout.write(line(entry?.node ?? node, name, width, options, stdout))
  }
}

interface Listed {
  readonly name: Uint8Array
  readonly node: Node
}

/** What to list; undefined stands for the thing itself. */
async function* entries(store: Store, node: Node, options: LsOptions): AsyncGenerator<Listed | undefined> {
  if (node.kind !== 'directory') {
    yield undefined
    return
  }
  if (options.recursive === true) {
    const { walkNode } = await import('@neve/store-pathinfo')
    for await (const step of walkNode(store.directories, node)) {
      if (step.path.length > 0) yield { name: step.path, node: step.node }
    }
    return
  }
  for (const { name, node: child } of await entriesOf(store, node)) yield { name: name.bytes, node: child }
}

async function entriesOf(
  store: Store,
  node: Node & { kind: 'directory' },
): Promise<readonly DirectoryEntry[]> {
  const { walkNode } = await import('@neve/store-pathinfo')
  let directory: Directory | undefined
  for await (const step of walkNode(store.directories, node)) {
    directory = step.directory
    break
  }
  return directory?.entries ?? []
}

/** Sizes are lined up where that needs no second walk of a whole tree. */
async function sizeWidth(store: Store, node: Node, options: LsOptions): Promise<number> {
  if (node.kind !== 'directory' || options.recursive === true) return options.recursive === true ? 12 : 0
  const sizes = (await entriesOf(store, node)).map((entry) => sizeOf(entry.node).length)
  return Math.max(0, ...sizes)
}

function line(
  node: Node,
  name: Uint8Array,
  width: number,
  options: LsOptions,
  output: Output,
): Uint8Array | string {
  if (options.json === true) return jsonLine({ ...jsonBytes('name', name), ...nodeJson(node) })
  const parts: (Uint8Array | string)[] = []
  if (options.long === true) parts.push(`${modeOf(node)} ${sizeOf(node).padStart(width)} `)
  parts.push(shown(name, output))
  if (options.long === true && node.kind === 'symlink') parts.push(' -> ', shown(node.target.bytes, output))
  parts.push('\n')
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
}

function modeOf(node: Node): string {
  if (node.kind === 'directory') return 'dr-xr-xr-x'
  if (node.kind === 'symlink') return 'lrwxrwxrwx'
  return node.executable ? '-r-xr-xr-x' : '-r--r--r--'
}

function sizeOf(node: Node): string {
  return String(node.kind === 'symlink' ? node.target.bytes.length : node.size)
}
