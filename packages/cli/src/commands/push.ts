import { Command } from 'commander'
import type { Context } from '../context.js'
import {
  addTransferOptions,
  TRANSFER_HELP,
  type TransferOptions,
  transfer,
  transferRoots,
} from '../transfer.js'

const EXAMPLES = `
Examples:
  $ neve push --to grpc+unix:/run/neve.sock /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result
  $ neve push --to objectstore+s3://bucket/prefix --all
  $ neve push --store grpc+http://[::1]:8000 --to /backup --all --json
${TRANSFER_HELP}`

/** `neve push --to ADDRESS STORE-PATH...`. */
export function pushCommand(context: Context): Command {
  const command = new Command('push')
    .description('Copy store paths, with everything that they reference, from this store to another.')
    .argument('[store-path...]', 'what to copy')
    .requiredOption('--to <address>', 'the store that gets them')
  return addTransferOptions(command)
    .addHelpText('after', EXAMPLES)
    .action((texts: string[], _: unknown, self: Command) =>
      push(context, texts, self.optsWithGlobals<TransferOptions & { readonly to: string }>()),
    )
}

async function push(
  context: Context,
  texts: readonly string[],
  options: TransferOptions & { readonly to: string },
): Promise<void> {
  const roots = transferRoots(texts, options)
  const { openStore } = await import('@neve/store-pathinfo')
  await using from = await context.openStore(options, 'read')
  await using to = await openStore(options.to)
  await transfer(context, { from, to }, roots, 'push', options)
}
