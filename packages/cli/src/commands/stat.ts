import type { Node } from '@neve/castore-model'
import { NixHash } from '@neve/nix-compat'
import type { ContentMeasure, PathInfo, Resolved, Store, StoredChunk } from '@neve/store-pathinfo'
import { Command } from 'commander'
import { resolveAddress } from '../address.js'
import type { Context, GlobalOptions } from '../context.js'
import { nodeJson } from '../import-report.js'
import { counted, formatBytes, formatCount } from '../output/format.js'
import { jsonLine, shown } from '../output/names.js'

interface StatOptions extends GlobalOptions {
  readonly json?: boolean
  readonly chunks?: boolean
}

const EXAMPLES = `
Examples:
  $ neve stat /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result
  $ neve stat --chunks /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result/lib/libresult.so
  $ neve stat --json blake3-rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI= | jq .storedBytes

A directory is counted with all that is below it. A chunk is a piece of content that is stored once, however often it
appears; a small file is a single chunk. NAR size, NAR hash and references are those of store paths.
`

/** `neve stat ADDRESS`. */
export function statCommand(context: Context): Command {
  return new Command('stat')
    .description('Tell what the store knows of something: digest, sizes, chunks, what is shared.')
    .argument('<address>', 'a store path or digest, with or without /sub/path')
    .option('--chunks', 'list the chunks of a file')
    .option('--json', 'print a JSON object')
    .addHelpText('after', EXAMPLES)
    .action((address: string, _: unknown, self: Command) => stat(context, address, self.optsWithGlobals()))
}

interface Facts {
  readonly node: Node
  readonly storePath: string | undefined
  readonly content: ContentMeasure
  /** Of a file. */
  readonly chunkList: readonly StoredChunk[] | undefined
  /** Of the root of a store path. */
  readonly pathInfo: PathInfo | undefined
}

async function stat(context: Context, address: string, options: StatOptions): Promise<void> {
  await using store = await context.openStore(options, 'read')
  const resolved = await resolveAddress(store, address)
  const facts = await factsOf(store, resolved, context.io.signal)
  const { stdout } = context.io
  await stdout.write(
    options.json === true ? factsJson(facts) : factsText(facts, options, (b) => shown(b, stdout)),
  )
}

async function factsOf(
  store: Store,
  { node, storePath, path }: Resolved,
  signal: AbortSignal,
): Promise<Facts> {
  const { chunksOf, measureContent } = await import('@neve/store-pathinfo')
  const isRoot = storePath !== undefined && path.components.length === 0
  return {
    node,
    storePath: storePath?.toAbsolute(),
    content: await measureContent(store, node, { signal }),
    chunkList: node.kind === 'file' ? await chunksOf(store, node) : undefined,
    pathInfo: isRoot ? await store.pathInfos.get(storePath.digest) : undefined,
  }
}

function factsJson({ node, storePath, content, chunkList, pathInfo }: Facts): string {
  return jsonLine({
    ...(storePath === undefined ? {} : { storePath }),
    ...nodeJson(node),
    ...content,
    ...(chunkList === undefined
      ? {}
      : {
          chunkList: chunkList.map(({ digest, size, storedBytes }) => ({
            digest: digest.toSri(),
            size,
            storedBytes,
          })),
        }),
    ...(pathInfo === undefined
      ? {}
      : {
          narSize: pathInfo.narSize,
          narHash: new NixHash('sha256', pathInfo.narSha256).toSri(),
          references: pathInfo.references.map((reference) => reference.toAbsolute()),
        }),
  })
}

function factsText(facts: Facts, options: StatOptions, show: (bytes: Uint8Array) => Uint8Array): Uint8Array {
  const { node, storePath, content, chunkList, pathInfo } = facts
  const rows: [string, string | Uint8Array][] = []
  if (storePath !== undefined) rows.push(['store path', storePath])
  rows.push(['kind', node.kind === 'file' && node.executable ? 'executable file' : node.kind])
  if (node.kind === 'symlink') rows.push(['target', show(node.target.bytes)])
  else rows.push(['digest', node.digest.toSri()])
  if (node.kind === 'directory') {
    const { files, directories, symlinks } = content
    const parts = [
      counted(files, 'file'),
      counted(directories, 'directory', 'directories'),
      counted(symlinks, 'symlink'),
    ]
    rows.push(['contents', parts.join(', ')])
  }
  if (node.kind !== 'symlink') rows.push(...contentRows(content))
  if (pathInfo !== undefined) {
    const { narSize, narSha256, references } = pathInfo
    rows.push(['NAR size', exactly(narSize)], ['NAR hash', new NixHash('sha256', narSha256).toSri()])
    rows.push(['references', references.length === 0 ? 'none' : String(references[0]?.toAbsolute())])
    for (const reference of references.slice(1)) rows.push(['', reference.toAbsolute()])
  }
  if (options.chunks === true && chunkList !== undefined) {
    for (const { digest, size, storedBytes, missing } of chunkList) {
      const stored = storedBytes === undefined ? '' : `, ${storedBytes} stored`
      rows.push(['chunk', `${digest.toSri()}  ${size} B${missing ? ', missing' : stored}`])
    }
  }
  const lines = rows.map(([key, value]) => [
    Buffer.from(key.padEnd(13)),
    Buffer.from(value),
    Buffer.from('\n'),
  ])
  return Buffer.concat(lines.flat())
}

function contentRows(content: ContentMeasure): [string, string][] {
  const { bytes, blobs, chunks, distinctChunks, sharedChunks, distinctBytes, storedBytes, missingChunks } =
    content
  const rows: [string, string][] = [['size', exactly(bytes)]]
  if (content.files > 1) rows.push(['blobs', `${formatCount(blobs)} different`])
  if (chunks > 0) {
    const average = formatBytes(distinctChunks === 0 ? 0n : distinctBytes / BigInt(distinctChunks))
    rows.push([
      'chunks',
      `${formatCount(chunks)}, ${formatCount(distinctChunks)} different, ${average} on average`,
    ])
    rows.push([
      'shared',
      `${counted(sharedChunks, 'chunk')} more than once, ${formatBytes(bytes - distinctBytes)} saved`,
    ])
    if (storedBytes !== undefined) rows.push(['stored', exactly(storedBytes)])
  }
  if (missingChunks > 0)
    rows.push(['missing', `${counted(missingChunks, 'chunk')}: import the content again`])
  return rows
}

/** `146 MB (146,234,567 bytes)`. */
function exactly(bytes: bigint): string {
  return bytes < 1000n ? formatBytes(bytes) : `${formatBytes(bytes)} (${formatCount(bytes)} bytes)`
}
