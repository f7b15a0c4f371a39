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
  $ neve pull --from grpc+unix:/run/neve.sock /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result
  $ neve pull --from grpc+http://[::1]:8000 --all
  $ neve pull --from 'nix+https://cache.nixos.org?trusted-public-keys=cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=' \\
      /nix/store/3n58xw4373jp0ljirf06d8077j15pc4j-glibc-2.37-8
${TRANSFER_HELP}
What a binary cache (nix+https:) sends is checked against its narinfo: signature, size and hash.
`

/** `neve pull --from ADDRESS STORE-PATH...`. */
export function pullCommand(context: Context): Command {
  const command = new Command('pull')
    .description('Copy store paths, with everything that they reference, from another store to this one.')
    .argument('[store-path...]', 'what to copy')
    .requiredOption('--from <address>', 'the store that has them')
  return addTransferOptions(command)
    .addHelpText('after', EXAMPLES)
    .action((texts: string[], _: unknown, self: Command) =>
      pull(context, texts, self.optsWithGlobals<TransferOptions & { readonly from: string }>()),
    )
}

async function pull(
  context: Context,
  texts: readonly string[],
  options: TransferOptions & { readonly from: string },
): Promise<void> {
  const roots = transferRoots(texts, options)
  const { openStore } = await import('@neve/store-pathinfo')
  await using to = await context.openStore(options, 'write')
  // What a binary cache is asked for is unpacked where it is wanted.
  await using from = await openStore(options.from, { readOnly: true, contents: to })
  await transfer(context, { from, to }, roots, 'pull', options)
}
