import { Command } from 'commander'
import { resolveAddress } from '../address.js'
import { argumentBytes } from '../arguments.js'
import type { Context, GlobalOptions } from '../context.js'
import { UsageError } from '../messages.js'
import { writeFileAtomically } from '../output/atomic-file.js'
import { startByteProgress } from '../progress/byte-progress.js'

interface NarOptions extends GlobalOptions {
  readonly output?: string
}

const EXAMPLES = `
Examples:
  $ neve nar /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result -o result.nar
  $ neve nar /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result | nix-store --restore ./copy
  $ neve nar /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result/bin | zstd > bin.nar.zst

Every byte is checked before it is written. A file appears under its name only when it is complete.
`

/** `neve nar ADDRESS [-o FILE]`. */
export function narCommand(context: Context): Command {
  return new Command('nar')
    .description('Write the NAR archive of something in the store.')
    .argument('<address>', 'a store path or digest, with or without /sub/path')
    .option('-o, --output <file>', 'write to a file; - is standard output, even a terminal')
    .addHelpText('after', EXAMPLES)
    .action((address: string, _: unknown, self: Command) =>
      writeNar(context, address, self.optsWithGlobals()),
    )
}

async function writeNar(context: Context, address: string, options: NarOptions): Promise<void> {
  const { stdout, signal } = context.io
  const { output } = options
  if (output === undefined && stdout.isTerminal) {
    throw new UsageError(
      'a NAR is not for a terminal: name a file with -o FILE, or - to print it all the same',
    )
  }
  if (output === '') throw new UsageError('-o needs the name of a file, got ""')
  await using store = await context.openStore(options, 'read')
  const { node, storePath, path } = await resolveAddress(store, address)
  if (output === undefined || output === '-') {
    for await (const piece of store.nar(node, { signal })) await stdout.write(piece)
    return
  }
  const isRoot = storePath !== undefined && path.components.length === 0
  const info = isRoot ? await store.pathInfos.get(storePath.digest) : undefined
  const progress = await startByteProgress(context, options, { what: output, total: info?.narSize })
  try {
    await writeFileAtomically(argumentBytes(output), signal, async (file) => {
      let written = 0
      for await (const piece of store.nar(node, { signal })) {
        await file.write(piece)
        written += piece.length
        progress.update({ bytes: written })
      }
    })
  } finally {
    progress.stop()
  }
}
