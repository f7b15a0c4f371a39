import { Command } from 'commander'
import { resolveAddress } from '../address.js'
import { hostPath } from '../arguments.js'
import type { Context, GlobalOptions } from '../context.js'
import { UsageError } from '../messages.js'
import { counted, formatBytes, formatDuration } from '../output/format.js'
import { startByteProgress } from '../progress/byte-progress.js'

const EXAMPLES = `
Examples:
  $ neve export /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result ./result
  $ neve export /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result/etc/config.toml ./config.toml

DEST must not exist. Modes are 0755 for directories and executables and 0644 for other files, less the umask. When it
fails, or is interrupted, what was written is removed again.
`

/** `neve export ADDRESS DEST`. */
export function exportCommand(context: Context): Command {
  return new Command('export')
    .description(
      'Write a file or tree of the store back to disk: the same bytes, names, links and executable bits.',
    )
    .argument('<address>', 'a store path or digest, with or without /sub/path')
    .argument('<dest>', 'where to write it')
    .addHelpText('after', EXAMPLES)
    .action((address: string, destination: string, _: unknown, self: Command) =>
      exportTree(context, address, destination, self.optsWithGlobals()),
    )
}

async function exportTree(
  context: Context,
  address: string,
  destination: string,
  options: GlobalOptions,
): Promise<void> {
  if (destination === '') throw new UsageError('expected a path to write to, got ""')
  const { exportPath } = await import('@neve/castore-services/export')
  const { signal, stderr } = context.io
  await using store = await context.openStore(options, 'read')
  const { node } = await resolveAddress(store, address)
  const start = performance.now()
  const progress = await startByteProgress(context, options, {
    what: destination,
    total: node.kind === 'file' ? node.size : undefined,
    entries: node.kind === 'directory' ? node.size : undefined,
  })
  try {
    const onProgress = progress.update
    const { files, bytes } = await exportPath(store, node, hostPath(destination), { signal, onProgress })
    progress.stop()
    const took = formatDuration(performance.now() - start)
    if (context.showsSummary) stderr.write(`  ${counted(files, 'file')} · ${formatBytes(bytes)} in ${took}\n`)
  } finally {
    progress.stop()
  }
}
