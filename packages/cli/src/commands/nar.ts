import type { Node } from '@neve/castore-model'
import type { Store } from '@neve/store-pathinfo'
import { Command } from 'commander'
import { resolveAddress } from '../address.js'
import { argumentBytes } from '../arguments.js'
import type { Context, GlobalOptions } from '../context.js'
import { UsageError } from '../messages.js'
import { writeFileAtomically } from '../output/atomic-file.js'
import { startByteProgress } from '../progress/byte-progress.js'

interface NarOptions extends GlobalOptions {
  readonly output?: string
  readonly zstd?: boolean
  readonly range?: string
  readonly listing?: boolean
}

const EXAMPLES = `
Examples:
  $ neve nar /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result -o result.nar
  $ neve nar /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result | nix-store --restore ./copy
  $ neve nar --zstd /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result/bin -o bin.nar.zst
  $ neve nar --range 1000000- /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result >> partial.nar
  $ neve nar --listing /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result | jq .root.entries

Every byte is checked before it is written. A file appears under its name only when it is complete.

--zstd passes on what is stored compressed as it is, after a check of its checksum: it is as small as the store made it.
--range counts bytes from 0 and includes both ends, as HTTP does; A- goes on to the end, and -N is the last N bytes. What
lies before the range is not read. --listing prints what Nix keeps beside a narinfo under HASH.ls: JSON on one line,
with the offset of every file in the NAR.
`

/** `neve nar ADDRESS [--zstd | --range A-B | --listing] [-o FILE]`. */
export function narCommand(context: Context): Command {
  return new Command('nar')
    .description('Write the NAR archive of something in the store.')
    .argument('<address>', 'a store path or digest, with or without /sub/path')
    .option('-o, --output <file>', 'write to a file; - is standard output, even a terminal')
    .option('--zstd', 'compress it, with the zstd frames of the store where it has them')
    .option('--range <a-b>', 'write only these bytes of it')
    .option('--listing', 'write its listing as JSON, as Nix has it in .ls files')
    .addHelpText('after', EXAMPLES)
    .action((address: string, _: unknown, self: Command) =>
      writeNar(context, address, self.optsWithGlobals()),
    )
}

async function writeNar(context: Context, address: string, options: NarOptions): Promise<void> {
  const { stdout, signal } = context.io
  const { output } = options
  const range = options.range === undefined ? undefined : parseRange(options.range)
  const forms = [options.zstd && '--zstd', range && '--range', options.listing && '--listing'].filter(Boolean)
  if (forms.length > 1) throw new UsageError(`${forms.join(' and ')} do not go together`)
  if (output === undefined && stdout.isTerminal && options.listing !== true) {
    throw new UsageError(
      'a NAR is not for a terminal: name a file with -o FILE, or - to print it all the same',
    )
  }
  if (output === '') throw new UsageError('-o needs the name of a file, got ""')
  await using store = await context.openStore(options, 'read')
  const { node, storePath, path } = await resolveAddress(store, address)
  const pieces = contentOf(store, node, options, range, signal)
  if (output === undefined || output === '-') {
    for await (const piece of pieces) await stdout.write(piece)
    if (options.listing === true && stdout.isTerminal) await stdout.write('\n')
    return
  }
  const isRoot = storePath !== undefined && path.components.length === 0
  const info = isRoot && forms.length === 0 ? await store.pathInfos.get(storePath.digest) : undefined
  const progress = await startByteProgress(context, options, { what: output, total: info?.narSize })
  try {
    await writeFileAtomically(argumentBytes(output), signal, async (file) => {
      let written = 0
      for await (const piece of pieces) {
        await file.write(piece)
        written += piece.length
        progress.update({ bytes: written })
      }
    })
  } finally {
    progress.stop()
  }
}

/** What is written, in the form that was asked for. */
async function* contentOf(
  store: Store,
  node: Node,
  options: NarOptions,
  range: RequestedRange | undefined,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (options.zstd === true) yield* store.compressedNar(node, { signal })
  else if (options.listing === true) {
    for await (const text of store.narListing(node, { signal })) yield Buffer.from(text)
  } else if (range === undefined) yield* store.nar(node, { signal })
  else {
    await using reader = await store.openNar(node, { signal })
    yield* reader.stream(within(range, reader.size), { signal })
  }
}

/** Bytes `first` to `last`, or the last so many. */
type RequestedRange =
  | { readonly first: bigint; readonly last: bigint | undefined }
  | { readonly suffix: bigint }

function parseRange(text: string): RequestedRange {
  const [, first, last] = /^(\d*)-(\d*)$/.exec(text) ?? []
  if (first !== undefined && last !== undefined && first + last !== '') {
    if (first === '') return { suffix: BigInt(last) }
    const range = { first: BigInt(first), last: last === '' ? undefined : BigInt(last) }
    if (range.last === undefined || range.last >= range.first) return range
  }
  throw new UsageError(`--range takes A-B, A- or -N, with A not above B; got '${text}'`)
}

/** The bytes of a NAR that a range stands for: what lies behind the end is cut off, as in HTTP. */
function within(range: RequestedRange, size: bigint): { readonly start: bigint; readonly end: bigint } {
  if ('suffix' in range) return { start: range.suffix < size ? size - range.suffix : 0n, end: size }
  if (range.first >= size) throw new RangeOutsideError(range.first, size)
  const { last } = range
  return { start: range.first, end: last === undefined || last >= size ? size : last + 1n }
}

/** A range begins behind the end. */
class RangeOutsideError extends Error {
  override readonly name = 'RangeOutsideError'
  readonly code = 'range-outside'

  constructor(
    readonly first: bigint,
    readonly size: bigint,
  ) {
    super(`the range begins at byte ${first}, the NAR has ${size} bytes`)
  }
}
