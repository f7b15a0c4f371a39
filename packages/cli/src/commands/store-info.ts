import type { StoreInfo } from '@neve/store-pathinfo/inspect'
import { Command } from 'commander'
import type { Context, GlobalOptions } from '../context.js'
import { openEmbedded } from '../local-store.js'
import { parseCount } from '../numbers.js'
import { formatBytes, formatCount } from '../output/format.js'
import { jsonLine } from '../output/names.js'

interface InfoOptions extends GlobalOptions {
  readonly top?: string
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ neve store info
  $ neve store info --top 30 --store /var/lib/neve
  $ neve store info --json | jq .storedBytes

Of an embedded store: how many store paths, directories, blobs (different files) and chunks it holds, and how much that
is: in the NARs of all store paths; in different blobs; in different chunks ("unique"); compressed ("stored"); and in
the segments, in which there may be what nobody needs any more. Then the store paths with the largest NARs.

With --json, one object: pathInfos, damagedPathInfos, directories, blobs, chunkedBlobs, chunks, segments, logicalBytes,
blobBytes, uniqueBytes, storedBytes, directoryBytes, segmentBytes, tableBytes, largest (storePath, narSize).
`

/** `neve store info`. */
export function storeInfoCommand(context: Context): Command {
  return new Command('info')
    .description('Tell how much a store holds, and what it takes.')
    .option('--top <number>', 'how many of the largest store paths to name (default: 10)')
    .option('--json', 'print one JSON object')
    .addHelpText('after', EXAMPLES)
    .action((_: unknown, self: Command) => info(context, self.optsWithGlobals()))
}

async function info(context: Context, options: InfoOptions): Promise<void> {
  const top = options.top === undefined ? undefined : parseCount('--top', options.top)
  const { storeInfo } = await import('@neve/store-pathinfo/inspect')
  await using store = await openEmbedded(context, options, 'read', 'store info')
  const found = await storeInfo(store.engine, { top, signal: context.io.signal })
  await context.io.stdout.write(options.json === true ? json(found) : text(found))
}

function json(info: StoreInfo): string {
  const largest = info.largest.map(({ storePath, narSize }) => ({
    storePath: storePath.toAbsolute(),
    narSize,
  }))
  return jsonLine({ ...info, largest })
}

function text(info: StoreInfo): string {
  const damaged =
    info.damagedPathInfos === 0 ? '' : `, ${formatCount(info.damagedPathInfos)} of them damaged: neve verify`
  const rows: (readonly [string, string, string])[] = [
    ['store paths', formatCount(info.pathInfos), `${formatBytes(info.logicalBytes)} of NARs${damaged}`],
    ['directories', formatCount(info.directories), formatBytes(info.directoryBytes)],
    ['blobs', formatCount(info.blobs), formatBytes(info.blobBytes)],
    ['chunks', formatCount(info.chunks), `of ${formatCount(info.chunkedBlobs)} blobs`],
    ['unique', formatBytes(info.uniqueBytes), ratio('deduplicated', info.logicalBytes, info.uniqueBytes)],
    ['stored', formatBytes(info.storedBytes), ratio('compressed', info.uniqueBytes, info.storedBytes)],
    ['segments', formatCount(info.segments), formatBytes(info.segmentBytes)],
    ['tables', '', formatBytes(info.tableBytes)],
  ]
  const width = Math.max(...rows.map(([, value]) => value.length))
  const lines = rows.map(([name, value, more]) =>
    `${name.padEnd(12)} ${value.padStart(width)}  ${more}`.trimEnd(),
  )
  const largest = info.largest.map(
    ({ storePath, narSize }) => `${formatBytes(narSize).padStart(7)}  ${storePath.toAbsolute()}`,
  )
  return `${[...lines, ...(largest.length > 0 ? ['', ...largest] : [])].join('\n')}\n`
}

/** `2.4 : 1 compressed`. */
function ratio(word: string, before: bigint, after: bigint): string {
  return after === 0n ? '' : `${(Number(before) / Number(after)).toFixed(2)} : 1 ${word}`
}
