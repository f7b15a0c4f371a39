import type { LocalStore } from '@neve/store-pathinfo'
import type { ContentSize, DiskUsage, UsageTarget } from '@neve/store-pathinfo/inspect'
import { Command } from 'commander'
import { checkAddress, resolveAddress } from '../address.js'
import type { Context, GlobalOptions } from '../context.js'
import { openEmbedded } from '../local-store.js'
import { formatBytes } from '../output/format.js'
import { jsonLine } from '../output/names.js'

interface DuOptions extends GlobalOptions {
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ neve store du /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result
  $ neve store du blake3-rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI=
  $ neve store du --json /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result | jq .unique.storedBytes

Of an embedded store. For each address four sizes, and in brackets what they take in the store, compressed: of what is
below it, each content counted once; of its closure, if it is a store path; of what is unique to it, and would go if it
went; and of what it shares with other store paths and roots. What only the named ones share is unique to none of them.

With --json, one object for each: address, own, closure, unique, shared (each with bytes and storedBytes), closurePaths.
`

/** `neve store du ADDRESS...`. */
export function storeDuCommand(context: Context): Command {
  return new Command('du')
    .description('Tell how much store paths take, alone and with others.')
    .argument('<address...>', 'store paths or digests')
    .option('--json', 'print JSON objects, one a line')
    .addHelpText('after', EXAMPLES)
    .action((addresses: string[], _: unknown, self: Command) =>
      usage(context, addresses, self.optsWithGlobals()),
    )
}

async function usage(context: Context, addresses: readonly string[], options: DuOptions): Promise<void> {
  for (const address of addresses) await checkAddress(address)
  const { diskUsage } = await import('@neve/store-pathinfo/inspect')
  await using store = await openEmbedded(context, options, 'read', 'store du')
  const targets: UsageTarget[] = []
  for (const address of addresses) targets.push(await target(store, address))
  const usages = await diskUsage(store.engine, targets, { signal: context.io.signal })
  for (const [index, found] of usages.entries()) {
    const address = addresses[index]!
    await context.io.stdout.write(options.json === true ? json(address, found) : text(address, found))
  }
}

/** A whole store path is one; what is below it, or a digest, is a node. */
async function target(store: LocalStore, address: string): Promise<UsageTarget> {
  const { node, storePath, path } = await resolveAddress(store, address)
  return storePath !== undefined && path.bytes.length === 0 ? storePath : node
}

function json(address: string, { own, closure, closurePaths, unique }: DiskUsage): string {
  return jsonLine({ address, own, closure, closurePaths, unique, shared: shared(own, unique) })
}

function shared(own: ContentSize, unique: ContentSize): ContentSize {
  return { bytes: own.bytes - unique.bytes, storedBytes: own.storedBytes - unique.storedBytes }
}

/** `/nix/store/…-result  146 MB (61 MB) · closure 300 MB (120 MB) · unique 12 MB (5.0 MB) · shared 134 MB (56 MB)`. */
function text(address: string, { own, closure, closurePaths, unique }: DiskUsage): string {
  const parts = [size(own)]
  if (closurePaths > 0) parts.push(`closure ${size(closure)}`)
  parts.push(`unique ${size(unique)}`, `shared ${size(shared(own, unique))}`)
  return `${address}  ${parts.join(' · ')}\n`
}

function size({ bytes, storedBytes }: ContentSize): string {
  return `${formatBytes(bytes)} (${formatBytes(storedBytes)})`
}
