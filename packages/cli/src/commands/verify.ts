import { escapeBytes } from '@neve/castore-model'
import type { StorePath } from '@neve/nix-compat'
import type { Damage, Store, VerifiedPath } from '@neve/store-pathinfo'
import { Command } from 'commander'
import type { Context, GlobalOptions } from '../context.js'
import { type FileSource, openFileSource } from '../file-source.js'
import { UsageError } from '../messages.js'
import { parseSize } from '../numbers.js'
import { counted, formatBytes, formatDuration } from '../output/format.js'
import { jsonBytes, jsonLine } from '../output/names.js'
import { startBar } from '../progress/bar.js'
import { parseStorePaths } from '../store-paths.js'

/** Damage was found, and is left: neither a failure nor a mistake. */
const EXIT_DAMAGED = 3

interface VerifyOptions extends GlobalOptions {
  readonly all?: boolean
  readonly recursive?: boolean
  readonly nar?: boolean
  readonly repair?: boolean
  readonly from?: readonly string[]
  readonly fromPath?: readonly string[]
  readonly bandwidth?: string
  readonly resume?: string
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ neve verify --all
  $ neve verify -r --nar /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result
  $ neve verify --all --repair --from grpc+unix:/run/neve.sock --from nix+https://cache.example.org
  $ neve verify --all --repair --from-path ./result
  $ neve verify --all --bandwidth 50M --resume /var/tmp/neve.verify
  $ neve verify --store objectstore+s3://bucket/prefix --all --json

For each store path, its path info, all directories and every byte of its files are read and compared with their digests,
and with --nar its NAR with the path info. With --all, in an embedded store, then what no store path has. What seems wrong is looked at twice. Each damage is one line: the store path
with the path inside, what kind it is, the digest of what is missing or damaged, and what was found.

With --repair, what is missing or damaged is taken from the stores of --from, the first that has it, then from files and
trees of --from-path, and looked at again. In an embedded store, what is damaged and cannot be mended is marked as missing:
readers are told so, and who has it stores it anew instead of passing it over. Nothing else is written.

--bandwidth limits how many bytes of files are read in a second. --resume FILE, with --all, writes to FILE how far it has
come: interrupted, the same command goes on from there, and adds to what was counted. FILE is removed in the end.

With --json, one object for each store path with damage (storePath, damages), and one at the end: paths, directories,
blobs, bytes (read), damages, repaired, marked.

The exit status is 0 when all is sound, or was mended; 3 when damage is left; 1 when something could not be looked at.
`

/** `neve verify [STORE-PATH... | --all]`. */
export function verifyCommand(context: Context): Command {
  return new Command('verify')
    .description('Check that store paths are whole and sound, and mend what is not.')
    .argument('[store-path...]', 'what to check')
    .option('--all', 'check every store path')
    .option('-r, --recursive', 'check what they reference, too')
    .option('--nar', 'compare sizes and hashes of NARs, too')
    .option('--repair', 'take what is missing or damaged from the stores of --from')
    .option(
      '--from <address>',
      'a store that may have it; may be given several times',
      (address: string, before: readonly string[] = []) => [...before, address],
    )
    .option(
      '--from-path <path>',
      'a file or tree on disk that may have it; may be given several times',
      (path: string, before: readonly string[] = []) => [...before, path],
    )
    .option('--bandwidth <bytes>', 'read no more than so many bytes a second, such as 50M')
    .option('--resume <file>', 'with --all: note down how far it has come, and go on from there')
    .option('--json', 'print JSON objects, one a line')
    .addHelpText('after', EXAMPLES)
    .action((texts: string[], _: unknown, self: Command) => verify(context, texts, self.optsWithGlobals()))
}

async function verify(context: Context, texts: readonly string[], options: VerifyOptions): Promise<void> {
  if (options.all === true && texts.length > 0) {
    throw new UsageError('--all takes no store paths: it stands for all of them')
  }
  if (options.all !== true && texts.length === 0) throw new UsageError('expected store paths, or --all')
  const from = options.from ?? []
  const fromPath = options.fromPath ?? []
  const sourceCount = from.length + fromPath.length
  if (options.repair === true && sourceCount === 0) {
    throw new UsageError('--repair needs --from ADDRESS, or --from-path PATH')
  }
  if (options.repair !== true && sourceCount > 0) throw new UsageError('--from is for --repair')
  if (options.resume !== undefined && options.all !== true) throw new UsageError('--resume is for --all')
  if (options.resume === '') throw new UsageError('--resume needs the name of a file')
  const bandwidth = options.bandwidth === undefined ? undefined : parseSize('--bandwidth', options.bandwidth)
  if (bandwidth === 0) throw new UsageError('--bandwidth needs at least one byte a second')
  const named = parseStorePaths(texts)
  const { openStore } = await import('@neve/store-pathinfo')
  await using store = await context.openStore(options, options.repair === true ? 'write' : 'read')
  const sources: Store[] = []
  let files: FileSource | undefined
  try {
    for (const address of from) sources.push(await openStore(address, { readOnly: true }))
    if (fromPath.length > 0) {
      files = await openFileSource(fromPath, context.io.signal)
      sources.push(files.store)
    }
    await verifyStore(context, store, named, { ...options, sources, bandwidthLimit: bandwidth })
  } finally {
    for (const source of sources) await source.close()
    await files?.remove()
  }
}

interface Verification extends VerifyOptions {
  readonly sources: readonly Store[]
  readonly bandwidthLimit: number | undefined
}

async function verifyStore(
  context: Context,
  store: Store,
  named: readonly StorePath[],
  options: Verification,
): Promise<void> {
  const { VerifyStateFile, verifyPaths } = await import('@neve/store-pathinfo')
  const { stdout, stderr, signal } = context.io
  const about = `${store.engine?.path ?? options.store ?? 'the store'}${options.nar === true ? ' with NARs' : ''}`
  const file = options.resume === undefined ? undefined : new VerifyStateFile(options.resume, about)
  const before = await file?.read()
  const totals = new VerifyTotals(before?.counts)
  const bar = await startBar(context, options, 'verify')
  try {
    const verified = verifyPaths(store, await targets(store, named, options, before?.after, signal), {
      nar: options.nar,
      loose: options.all,
      references: options.recursive,
      repairFrom: options.sources,
      mark: options.repair,
      bandwidth: options.bandwidthLimit,
      signal,
      onProgress: (progress) => bar.update(progress),
    })
    for await (const path of verified) {
      totals.add(path)
      if (path.damages.length > 0) {
        const text = options.json === true ? damagedJson(path) : path.damages.map(damageLine).join('')
        await stdout.write(text)
        await stdout.flush()
      }
      const after = path.storePathDigest
      if (after !== undefined) await file?.write({ after, counts: totals.counts })
    }
    await file?.remove()
  } finally {
    bar.stop()
  }
  if (options.json === true) await stdout.write(jsonLine(totals.counts))
  if (stderr.isTerminal) stderr.write(`  ${totals.summary()}\n`)
  if (totals.left > 0) context.exitCode = EXIT_DAMAGED
}

/** What is to be checked; a reference that is missing is told by whoever references it. */
async function targets(
  store: Store,
  named: readonly StorePath[],
  options: VerifyOptions,
  after: Uint8Array | undefined,
  signal: AbortSignal,
): Promise<AsyncIterable<StorePath | Uint8Array> | Iterable<StorePath>> {
  const { allPathDigests, reachablePaths } = await import('@neve/store-pathinfo')
  if (options.all === true) return allPathDigests(store, { after, signal })
  return options.recursive === true ? reachablePaths(store.pathInfos, named, { signal }) : named
}

/** `/nix/store/…-result/bin/hello: blob-damaged blake3-…: content of … hashes to …`. */
function damageLine({ storePath, path, kind, digest, detail, repaired, marked }: Damage): string {
  const below = path.length === 0 ? '' : `/${escapeBytes(path)}`
  const where = storePath === undefined ? '' : `${storePath.toAbsolute()}${below}: `
  const what = digest === undefined ? kind : `${kind} ${digest.toSri()}`
  return `${where}${what}: ${detail}${repaired ? ' (repaired)' : marked ? ' (marked)' : ''}\n`
}

function damagedJson({ storePath, damages }: VerifiedPath): string {
  return jsonLine({
    storePath: storePath?.toAbsolute(),
    damages: damages.map(({ path, kind, digest, detail, repaired, marked }) => ({
      ...jsonBytes('path', path),
      kind,
      digest: digest?.toSri(),
      detail,
      repaired,
      marked,
    })),
  })
}

/** Adds up what was checked. */
class VerifyTotals {
  readonly counts = { paths: 0, directories: 0, blobs: 0, bytes: 0, damages: 0, repaired: 0, marked: 0 }
  readonly #start = performance.now()

  /** @param before what was counted before it was interrupted */
  constructor(before: Readonly<Record<string, number>> = {}) {
    for (const key of Object.keys(this.counts) as (keyof typeof this.counts)[])
      this.counts[key] = before[key] ?? 0
  }

  /** Damages that were not mended. */
  get left(): number {
    return this.counts.damages - this.counts.repaired
  }

  add({ storePathDigest, directories, blobs, bytes, damages }: VerifiedPath): void {
    const { counts } = this
    if (storePathDigest !== undefined) counts.paths++
    counts.directories += directories
    counts.blobs += blobs
    counts.bytes += bytes
    counts.damages += damages.length
    counts.repaired += damages.filter(({ repaired }) => repaired).length
    counts.marked += damages.filter(({ marked }) => marked).length
  }

  /** `300 store paths, 40,112 blobs, 146 MB in 0.9 s · 2 damages, 1 repaired`. */
  summary(): string {
    const { paths, blobs, bytes, damages, repaired } = this.counts
    const read = [counted(paths, 'store path'), counted(blobs, 'blob'), formatBytes(bytes)]
    const parts = [`${read.join(', ')} in ${formatDuration(performance.now() - this.#start)}`]
    const mended = repaired > 0 ? `, ${repaired} repaired` : ''
    parts.push(damages === 0 ? 'all sound' : `${counted(damages, 'damage')}${mended}`)
    return parts.join(' · ')
  }
}
