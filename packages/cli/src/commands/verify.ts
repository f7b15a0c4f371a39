import { escapeBytes } from '@neve/castore-model'
import type { StorePath } from '@neve/nix-compat'
import type { Damage, Store, VerifiedPath } from '@neve/store-pathinfo'
import { Command } from 'commander'
import type { Context, GlobalOptions } from '../context.js'
import { UsageError } from '../messages.js'
import { counted, formatBytes, formatDuration } from '../output/format.js'
import { jsonBytes, jsonLine } from '../output/names.js'
import { startBar } from '../progress/bar.js'
import { parseStorePaths } from '../store-paths.js'

interface VerifyOptions extends GlobalOptions {
  readonly all?: boolean
  readonly recursive?: boolean
  readonly nar?: boolean
  readonly repair?: boolean
  readonly from?: readonly string[]
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ neve verify --all
  $ neve verify -r --nar /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result
  $ neve verify --all --repair --from grpc+unix:/run/neve.sock --from nix+https://cache.example.org
  $ neve verify --store objectstore+s3://bucket/prefix --all --json

For each store path, its path info, all directories and every byte of its files are read and compared with their digests,
and with --nar its NAR with the path info. What seems wrong is looked at twice. Each damage is one line: the store path
with the path inside, what kind it is, the digest of what is missing or damaged, and what was found.

With --repair, what is missing or damaged is taken from the stores of --from, the first that has it, and looked at again;
nothing else is written. With --json, one object for each store path with damage (storePath, damages), and one at the end:
paths, directories, blobs, bytes (read), damages, repaired.

The exit status is 0 when all is sound, or was mended; else 1.
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
  if (options.repair === true && from.length === 0) throw new UsageError('--repair needs --from ADDRESS')
  if (options.repair !== true && from.length > 0) throw new UsageError('--from is for --repair')
  const named = parseStorePaths(texts)
  const { openStore } = await import('@neve/store-pathinfo')
  await using store = await context.openStore(options, options.repair === true ? 'write' : 'read')
  const sources: Store[] = []
  try {
    for (const address of from) sources.push(await openStore(address, { readOnly: true }))
    await verifyStore(context, store, named, sources, options)
  } finally {
    for (const source of sources) await source.close()
  }
}

async function verifyStore(
  context: Context,
  store: Store,
  named: readonly StorePath[],
  repairFrom: readonly Store[],
  options: VerifyOptions,
): Promise<void> {
  const { verifyPaths } = await import('@neve/store-pathinfo')
  const { stdout, stderr, signal } = context.io
  const totals = new VerifyTotals()
  const bar = await startBar(context, options, 'verify')
  try {
    const verified = verifyPaths(store, await targets(store, named, options, signal), {
      nar: options.nar,
      references: options.recursive,
      repairFrom,
      signal,
      onProgress: (progress) => bar.update(progress),
    })
    for await (const path of verified) {
      totals.add(path)
      if (path.damages.length === 0) continue
      const text = options.json === true ? damagedJson(path) : path.damages.map(damageLine).join('')
      await stdout.write(text)
      await stdout.flush()
    }
  } finally {
    bar.stop()
  }
  if (options.json === true) await stdout.write(totals.json())
  if (stderr.isTerminal) stderr.write(`  ${totals.summary()}\n`)
  if (totals.left > 0) context.exitCode = 1
}

/** What is to be checked; a reference that is missing is told by whoever references it. */
async function targets(
  store: Store,
  named: readonly StorePath[],
  options: VerifyOptions,
  signal: AbortSignal,
): Promise<AsyncIterable<StorePath | Uint8Array> | Iterable<StorePath>> {
  const { allPathDigests, reachablePaths } = await import('@neve/store-pathinfo')
  if (options.all === true) return allPathDigests(store, { signal })
  return options.recursive === true ? reachablePaths(store.pathInfos, named, { signal }) : named
}

/** `/nix/store/…-result/bin/hello: blob-damaged blake3-…: content of … hashes to …`. */
function damageLine({ storePath, path, kind, digest, detail, repaired }: Damage): string {
  const below = path.length === 0 ? '' : `/${escapeBytes(path)}`
  const where = storePath === undefined ? '' : `${storePath.toAbsolute()}${below}: `
  const what = digest === undefined ? kind : `${kind} ${digest.toSri()}`
  return `${where}${what}: ${detail}${repaired ? ' (repaired)' : ''}\n`
}

function damagedJson({ storePath, damages }: VerifiedPath): string {
  return jsonLine({
    storePath: storePath?.toAbsolute(),
    damages: damages.map(({ path, kind, digest, detail, repaired }) => ({
      ...jsonBytes('path', path),
      kind,
      digest: digest?.toSri(),
      detail,
      repaired,
    })),
  })
}

/** Adds up what was checked. */
class VerifyTotals {
  readonly #counts = { paths: 0, directories: 0, blobs: 0, bytes: 0, damages: 0, repaired: 0 }
  readonly #start = performance.now()

  /** Damages that were not mended. */
  get left(): number {
    return this.#counts.damages - this.#counts.repaired
  }

  add({ directories, blobs, bytes, damages }: VerifiedPath): void {
    const counts = this.#counts
    counts.paths++
    counts.directories += directories
    counts.blobs += blobs
    counts.bytes += bytes
    counts.damages += damages.length
    counts.repaired += damages.filter(({ repaired }) => repaired).length
  }

  json(): string {
    return jsonLine(this.#counts)
  }

  /** `300 store paths, 40,112 blobs, 146 MB in 0.9 s · 2 damages, 1 repaired`. */
  summary(): string {
    const { paths, blobs, bytes, damages, repaired } = this.#counts
    const read = [counted(paths, 'store path'), counted(blobs, 'blob'), formatBytes(bytes)]
    const parts = [`${read.join(', ')} in ${formatDuration(performance.now() - this.#start)}`]
    const mended = repaired > 0 ? `, ${repaired} repaired` : ''
    parts.push(damages === 0 ? 'all sound' : `${counted(damages, 'damage')}${mended}`)
    return parts.join(' · ')
  }
}
