import type { Root } from '@neve/store-pathinfo/gc'
import type { KeptBy } from '@neve/store-pathinfo/inspect'
import { Command } from 'commander'
import type { Context, GlobalOptions } from '../context.js'
import { openEmbedded } from '../local-store.js'
import { jsonLine } from '../output/names.js'
import { parseStorePaths } from '../store-paths.js'

interface WhyOptions extends GlobalOptions {
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ neve store why /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result
  $ neve store why --json /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result | jq '.roots[].name'

Of an embedded store. For each root that keeps the store path a line with its name, and below it the shortest chain of
references down to the store path. Without a root, the store paths that reference it; these need not stay either.

With --json, one object: storePath, roots (name, chain), referrers, lastUsed (when it was stored or used, in seconds
since 1970). The status is 0 whether something keeps it or not, and 1 when it is not in the store.
`

/** `neve store why STORE-PATH`. */
export function storeWhyCommand(context: Context): Command {
  return new Command('why')
    .description('Tell which roots and references keep a store path.')
    .argument('<store-path>', 'absolute or base name')
    .option('--json', 'print one JSON object')
    .addHelpText('after', EXAMPLES)
    .action((path: string, _: unknown, self: Command) => why(context, path, self.optsWithGlobals()))
}

async function why(context: Context, named: string, options: WhyOptions): Promise<void> {
  const path = parseStorePaths([named])[0]!
  const { keptBy } = await import('@neve/store-pathinfo/inspect')
  await using store = await openEmbedded(context, options, 'read', 'store why')
  const kept = await keptBy(store.engine, path, { signal: context.io.signal })
  await context.io.stdout.write(options.json === true ? json(path.toAbsolute(), kept) : text(kept))
}

function json(storePath: string, { roots, referrers, lastUsed }: KeptBy): string {
  return jsonLine({
    storePath,
    roots: roots.map(({ root, chain }) => ({
      name: root.name,
      ...('folder' in root && { folder: root.folder }),
      chain: chain.map((path) => path.toAbsolute()),
    })),
    referrers: referrers.map((path) => path.toAbsolute()),
    lastUsed: lastUsed === undefined ? undefined : Math.floor(lastUsed / 1000),
  })
}

function text({ roots, referrers, lastUsed }: KeptBy): string {
  const lines = roots.flatMap(({ root, chain }) => [
    `root ${nameOf(root)}`,
    ...chain.map((path, depth) => `${'  '.repeat(depth + 1)}${path.toAbsolute()}`),
  ])
  if (roots.length > 0) return `${lines.join('\n')}\n`
  const used = lastUsed === undefined ? '' : `; last used ${new Date(lastUsed).toISOString()}`
  lines.push(`no root keeps it${used}`)
  for (const path of referrers) lines.push(`referenced by ${path.toAbsolute()}`)
  return `${lines.join('\n')}\n`
}

function nameOf(root: Root): string {
  return 'folder' in root ? `${root.name} (${root.folder})` : root.name
}
