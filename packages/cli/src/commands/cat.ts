import type { Store } from '@neve/store-pathinfo'
import { Command } from 'commander'
import { checkAddress, resolveAddress } from '../address.js'
import type { Context, GlobalOptions } from '../context.js'

const EXAMPLES = `
Examples:
  $ neve cat /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result/share/doc/README
  $ neve cat blake3-XKeBWty0hOmhNsEe/mnB1TAXbVSbXRjQOOtSgLSzRww= > hello

Every byte is checked against its digest before it is printed. Links are not followed.
`

/** `neve cat ADDRESS...`. */
export function catCommand(context: Context): Command {
  return new Command('cat')
    .description('Print files of the store, one after the other.')
    .argument('<address...>', 'files: a store path or digest, with or without /sub/path')
    .addHelpText('after', EXAMPLES)
    .action((addresses: string[], _: unknown, self: Command) =>
      cat(context, addresses, self.optsWithGlobals()),
    )
}

async function cat(context: Context, addresses: readonly string[], options: GlobalOptions): Promise<void> {
  for (const address of addresses) await checkAddress(address)
  await using store = await context.openStore(options, 'read')
  for (const address of addresses) {
    try {
      await print(context, store, address)
    } catch (error) {
      if (error instanceof Error && error.name.startsWith('Output')) throw error
      context.io.signal.throwIfAborted()
      context.fail(error)
    }
  }
}

async function print(context: Context, store: Store, address: string): Promise<void> {
  const [{ fileContent }, { DataLossError }, { StoreError }] = await Promise.all([
    import('@neve/castore-services/export'),
    import('@neve/castore-services'),
    import('@neve/store-pathinfo'),
  ])
  const { stdout, signal } = context.io
  const { node } = await resolveAddress(store, address)
  if (node.kind === 'directory')
    throw new StoreError('not-found', `${address} is a directory, expected a file`)
  if (node.kind === 'symlink') {
    throw new StoreError('not-found', `${address} is a link to ${node.target}, expected a file`)
  }
  const content = await fileContent(store.blobs, node, { signal })
  if (content === undefined) {
    throw new DataLossError(node.digest, 'the store', `${address}: its blob is missing`)
  }
  for await (const piece of content) await stdout.write(piece)
}
