import { encodeNode, type Node } from '@neve/castore-model'
import type { ImportedNar, IngestedNar, Store } from '@neve/store-pathinfo'
import { Command, Option } from 'commander'
import type { Context, GlobalOptions } from '../context.js'
import { checkImportName } from '../import-names.js'
import { nodeJson } from '../import-report.js'
import { checkInputs, inputName, readInput } from '../input.js'
import { UsageError } from '../messages.js'
import { parseCount, parseSize } from '../numbers.js'
import { jsonLine } from '../output/names.js'

const FORMATS = ['json', 'urlsafe-base64', 'base64', 'store-path'] as const
type Format = (typeof FORMATS)[number]

interface ImportNarOptions extends GlobalOptions {
  readonly name?: string
  readonly format?: Format
  readonly concurrency: number
  readonly compression: 'auto' | 'br'
  readonly maxSize: bigint
}

const EXAMPLES = `
Examples:
  $ neve import-nar hello.nar.xz
  {"type":"directory","digest":"blake3-P5UaFa/VhvsxIe9NE9WC6BHODlp/IcBJf9h0kOnjJVo=","size":4}
  $ neve import-nar --format urlsafe-base64 a.nar b.nar.zst
  $ nix-store --dump ./result | neve import-nar --name result -
  /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result

Blobs and directories are stored, and what the root is gets printed, a line for each input in their order. A NAR is a
file, - for standard input, or a unix socket that sends it. It may be plain or compressed with gzip, bzip2, xz or zstd:
its first bytes tell. Brotli has to be said: --compression br.
--format: json, or the bytes of the root's message in base64: urlsafe-base64 is what stands in URLs of a NAR bridge.
With --name, the NAR is stored under the store path that Nix gives its contents, with a path info, and the store path is
printed unless another --format is asked for; json then also has storePath, narSize and narHash.
What is damaged, truncated, or more than --max-size when decompressed is told, the others are stored all the same, and
the status is 1.
`

/** `neve import-nar PATH...` (spec 08 section 3.6). */
export function importNarCommand(context: Context): Command {
  return new Command('import-nar')
    .description('Store the trees in NAR archives, and print what they are.')
    .argument('[file...]', 'archives, compressed or not; - is standard input')
    .option('--name <name>', 'store a single archive under a store path of this name')
    .addOption(new Option('--format <form>', 'how to print a root (default: "json")').choices([...FORMATS]))
    .addOption(
      new Option('--concurrency <count>', 'how many to read at once')
        .argParser((text) => parseCount('--concurrency', text))
        .default(10),
    )
    .addOption(
      new Option('--compression <form>', 'what the archives are compressed with')
        .choices(['auto', 'br'])
        .default('auto'),
    )
    .addOption(
      new Option('--max-size <size>', 'how large a NAR may be, decompressed: bytes, or 500M, 64G, 1T')
        .argParser((text) => BigInt(parseSize('--max-size', text)))
        .default(2n ** 36n, '64G'),
    )
    .addHelpText('after', EXAMPLES)
    .action((files: string[], _: unknown, self: Command) =>
      importNars(context, files, self.optsWithGlobals()),
    )
}

async function importNars(
  context: Context,
  files: readonly string[],
  options: ImportNarOptions,
): Promise<void> {
  checkInputs(files)
  const { name, format = name === undefined ? 'json' : 'store-path' } = options
  if (name !== undefined) {
    if (files.length !== 1) throw new UsageError(`--name needs exactly one archive, got ${files.length}`)
    checkImportName(name)
  } else if (format === 'store-path') throw new UsageError('--format store-path needs --name')
  if (files.length === 0) return
  const { mapOrdered } = await import('@neve/castore-services')
  await using store = await context.openStore(options, 'write')
  const { stdout, signal } = context.io
  const work = (file: string, stop: AbortSignal) => importOne(context, store, file, options, stop)
  for await (const imported of mapOrdered(files, options.concurrency, work, { signal })) {
    if (imported === undefined) continue
    await stdout.write(line(imported, format))
    await stdout.flush()
  }
}

/** @returns undefined when it failed, which has been told then */
async function importOne(
  context: Context,
  store: Store,
  file: string,
  { name, compression, maxSize }: ImportNarOptions,
  signal: AbortSignal,
): Promise<IngestedNar | ImportedNar | undefined> {
  const options = { maxSize, signal, compression: compression === 'br' ? compression : undefined }
  const source = readInput(context, file)
  try {
    if (name === undefined) return await store.ingestNar(source, options)
    return await store.importNar(source, { ...options, name })
  } catch (error) {
    signal.throwIfAborted()
    context.fail(error, error instanceof Error && error.name === 'InputError' ? undefined : inputName(file))
    return undefined
  }
}

function line(imported: IngestedNar | ImportedNar, format: Format): string {
  const { node } = imported
  switch (format) {
    case 'store-path':
      return `${(imported as ImportedNar).storePath.toAbsolute()}\n`
    case 'json':
      return jsonLine({ ...typedNode(node), ...storedMembers(imported) })
    default: {
      const encoded = Buffer.from(encodeNode(new Uint8Array(0), node))
      return `${encoded.toString(format === 'base64' ? 'base64' : 'base64url')}\n`
    }
  }
}

/** A node in the reference's words, which calls `type` what the other commands call `kind`. */
function typedNode(node: Node): Record<string, unknown> {
  const { kind, ...members } = nodeJson(node)
  return { type: kind, ...members }
}

function storedMembers(imported: IngestedNar | ImportedNar): Record<string, unknown> {
  if (!('storePath' in imported)) return {}
  const { storePath, narSize, pathInfo } = imported
  return { storePath: storePath.toAbsolute(), narSize, narHash: pathInfo.ca?.hash.toSri() }
}
