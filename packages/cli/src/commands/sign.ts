import type { SecretKey } from '@neve/nix-compat'
import type { PathInfo, Store } from '@neve/store-pathinfo'
import { Command } from 'commander'
import type { Context, GlobalOptions } from '../context.js'
import { UsageError } from '../messages.js'
import { counted } from '../output/format.js'
import { jsonLine } from '../output/names.js'
import { allPathInfos, checkAll, MissingPathError, named, parseStorePaths } from '../store-paths.js'

interface SignOptions extends GlobalOptions {
  readonly keyFile?: readonly string[]
  readonly all?: boolean
  readonly recursive?: boolean
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ neve sign --key-file secret.key /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result
  /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result
  $ neve sign --key-file secret.key --recursive --json /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result
  $ neve sign --key-file old.key --key-file new.key --all

  $ neve key generate cache.example.org-1 -o secret.key
  $ neve sign -k secret.key --all

The signatures are those of "nix store sign": whoever has the public key among trusted-public-keys believes that the
contents are what the signer says, wherever they come from. "neve key" makes keys. What is signed is what the store says
of a path; that its contents are so is what "neve verify" finds out.
Paths that got a signature are printed. What a key has signed already stays as it is: signing twice changes nothing, and
signatures of others are kept. With --json, one object a line for every path: storePath, added, signatures.
`

/** `neve sign STORE-PATH...|--all --key-file FILE` (spec 09 section 12.3). */
export function signCommand(context: Context): Command {
  return new Command('sign')
    .description('Sign path infos with secret keys, as nix store sign does.')
    .argument('[store-path...]', 'store paths, absolute or base names')
    .option(
      '-k, --key-file <file>',
      'a file with a secret key; may be given more than once',
      (file: string, before: readonly string[] = []) => [...before, file],
    )
    .option('--all', 'every store path of the store')
    .option('-r, --recursive', 'what they reference, too, and so on')
    .option('--json', 'print one JSON object a line')
    .addHelpText('after', EXAMPLES)
    .action((paths: string[], _: unknown, self: Command) => sign(context, paths, self.optsWithGlobals()))
}

async function sign(context: Context, texts: readonly string[], options: SignOptions): Promise<void> {
  checkAll(texts, options.all, 'sign')
  if (options.keyFile === undefined) throw new UsageError('sign needs --key-file FILE')
  const paths = parseStorePaths(texts)
  const { readKeyFile, referenceClosure } = await import('@neve/store-pathinfo')
  const keys: SecretKey[] = []
  for (const file of options.keyFile) keys.push(await readKeyFile(file))
  await using store = await context.openStore(options, 'write')
  const { signal, stderr } = context.io
  const { pathInfos } = store
  let wanted = paths
  if (options.recursive === true) {
    const closure = await referenceClosure(pathInfos, paths, { place: 'the store', signal })
    wanted = closure.map(({ storePath }) => storePath)
  }
  let signatures = 0
  for await (const { storePath, info } of options.all === true
    ? listed(store, signal)
    : named(wanted, (digest, stop) => pathInfos.get(digest, { signal: stop }), signal)) {
    if (info === undefined) context.fail(new MissingPathError(storePath))
    else signatures += await addSignatures(context, store, info, keys, options)
  }
  if (stderr.isTerminal) stderr.write(`  ${counted(signatures, 'signature')} added\n`)
}

async function* listed(store: Store, signal: AbortSignal) {
  for await (const info of allPathInfos(store, signal)) yield { storePath: info.storePath, info }
}

/** @returns how many were added */
async function addSignatures(
  context: Context,
  { pathInfos }: Store,
  known: PathInfo,
  keys: readonly SecretKey[],
  options: SignOptions,
): Promise<number> {
  const { signStored } = await import('@neve/store-pathinfo')
  const { stdout, signal } = context.io
  signal.throwIfAborted()
  const { info, added } = await signStored(pathInfos, known, keys, { signal })
  const storePath = info.storePath.toAbsolute()
  if (options.json === true) {
    await stdout.write(jsonLine({ storePath, added, signatures: info.signatures.map(String) }))
  } else if (added > 0) await stdout.write(`${storePath}\n`)
  return added
}
