import { B3Digest } from '@neve/castore-model'
import type { CopyResult } from '@neve/castore-services/copy'
import type { Castore } from '@neve/store-pathinfo'
import { Command } from 'commander'
import type { Context, GlobalOptions } from '../context.js'
import { nodeJson } from '../import-report.js'
import { UsageError } from '../messages.js'
import { counted, formatBytes, formatDuration } from '../output/format.js'
import { jsonLine } from '../output/names.js'
import { startBar } from '../progress/bar.js'
import { refuseStoreOptions } from '../store-options.js'

interface CopyOptions extends GlobalOptions {
  readonly json?: boolean
  readonly thorough?: boolean
}

const EXAMPLES = `
Examples:
  $ neve copy-castore /var/lib/neve grpc+unix:/run/neve.sock blake3-rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI=
  $ neve copy-castore objectstore+s3://bucket/prefix ./local b3:rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI=
  $ neve copy-castore stores.toml embedded:/backup blake3-rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI=

FROM and TO each have blobs and directories: embedded:/path/to/folder or a folder, any other address that is good for
both kinds, or a composition file (*.toml) with services named default. DIGEST is that of a directory or a blob.

Only what TO lacks travels. Each digest is printed once everything below it is safely there; one that cannot be copied is
reported, and the others are copied all the same. What was interrupted goes on where it ended when it is run again.
With --json, one object a line: kind, digest, size, directories, blobs, bytes (copied), readBytes (of them, read from
FROM), presentBlobs (there before).
`

/** `neve copy-castore FROM TO DIGEST...`. */
export function copyCastoreCommand(context: Context): Command {
  return new Command('copy-castore')
    .description('Copy trees and blobs from one store to another, by digest.')
    .argument('<from>', 'where they are')
    .argument('<to>', 'where they are wanted')
    .argument('<digest...>', 'blake3-…, b3:… or 64 hex digits')
    .option('--thorough', 'look below directories that TO has, too, and fill holes')
    .option('--json', 'print one JSON object a line')
    .addHelpText('after', EXAMPLES)
    .action((from: string, to: string, digests: string[], _: unknown, self: Command) =>
      copyAll(context, { from, to }, digests, self.optsWithGlobals()),
    )
}

async function copyAll(
  context: Context,
  addresses: { readonly from: string; readonly to: string },
  texts: readonly string[],
  options: CopyOptions,
): Promise<void> {
  refuseStoreOptions(options, 'copy-castore')
  const digests = texts.map(parseDigest)
  const { openCastore } = await import('@neve/store-pathinfo')
  await using from = await openCastore(addresses.from, { readOnly: true })
  await using to = await openCastore(addresses.to)
  const { stdout, stderr, signal } = context.io
  for (const digest of digests) {
    try {
      const start = performance.now()
      const result = await copyOne(context, { from, to }, digest, options)
      await stdout.write(options.json === true ? resultJson(result) : `${digest.toSri()}\n`)
      await stdout.flush()
      if (context.showsSummary) stderr.write(`  ${summary(result, performance.now() - start)}\n`)
    } catch (error) {
      if (error instanceof Error && error.name.startsWith('Output')) throw error
      signal.throwIfAborted()
      context.fail(error, digest.toSri())
    }
  }
}

async function copyOne(
  context: Context,
  sides: { readonly from: Castore; readonly to: Castore },
  digest: B3Digest,
  options: CopyOptions,
): Promise<CopyResult> {
  const { copyClosure } = await import('@neve/castore-services/copy')
  const bar = await startBar(context, options, digest.toSri())
  try {
    return await copyClosure(sides, digest, {
      thorough: options.thorough,
      signal: context.io.signal,
      onProgress: ({ blobs, bytes, doneBlobs, doneBytes, complete }) => {
        // What is still being found would make the bar go backwards.
        if (complete) bar.setTotals({ bytes, files: blobs })
        bar.update({ bytes: doneBytes, files: doneBlobs })
      },
    })
  } finally {
    bar.stop()
  }
}

function parseDigest(text: string): B3Digest {
  try {
    return B3Digest.parse(text)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new UsageError(reason)
  }
}

function resultJson({ node, ...counts }: CopyResult): string {
  return jsonLine({ ...nodeJson(node), ...counts })
}

/** `12 directories · 40,112 files, 146 MB in 0.9 s · 3 files were there already`. */
function summary(
  { directories, blobs, bytes, readBytes, presentBlobs }: CopyResult,
  elapsed: number,
): string {
  const parts = [
    counted(directories, 'directory', 'directories'),
    `${counted(blobs, 'blob')}, ${formatBytes(bytes)} in ${formatDuration(elapsed)}`,
  ]
  if (readBytes < bytes) parts.push(`${formatBytes(bytes - readBytes)} in chunks that were there already`)
  if (presentBlobs > 0) parts.push(`${counted(presentBlobs, 'blob')} there already`)
  return parts.join(' · ')
}
