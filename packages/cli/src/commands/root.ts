import { resolve } from 'node:path'
import { B3Digest } from '@neve/castore-model'
import type { StorePath } from '@neve/nix-compat'
import type { Root } from '@neve/store-pathinfo/gc'
import { Argument, Command } from 'commander'
import type { Context, GlobalOptions } from '../context.js'
import { openEmbedded } from '../local-store.js'
import { UsageError } from '../messages.js'
import { objectStoreAddress, openObjects } from '../object-store-address.js'
import { jsonLine } from '../output/names.js'
import { addToObjects } from '../roots.js'
import { parseStorePaths } from '../store-paths.js'

interface RootOptions extends GlobalOptions {
  readonly folder?: string
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ neve root add result /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result
  $ neve root add sources blake3-rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI=
  $ neve root add nix --folder /nix/var/nix/gcroots
  $ neve root list
  $ neve root remove result

What a root leads to stays when garbage is collected ("neve gc"), with everything that it refers to: a store path with
all that it references, a directory or blob by its digest, or with --folder all store paths that symlinks in a folder
lead to, in it and below it, when garbage is collected. A root of the same name is replaced. list prints name and target,
with a tab between them; with --json one object a root: name, target or folder. Roots of an object store are kept in it;
they lead to store paths and digests only.
`

/** `neve root add NAME TARGET`, `neve root list`, `neve root remove NAME`. */
export function rootCommand(context: Context): Command {
  return new Command('root')
    .description('Say what stays when garbage is collected.')
    .addArgument(new Argument('<what>', 'what to do').choices(['add', 'list', 'remove']))
    .argument('[name]', 'of the root')
    .argument('[target]', 'a store path, or a digest')
    .option('--folder <folder>', 'keep what symlinks in this folder lead to')
    .option('--json', 'list JSON objects, one a line')
    .addHelpText('after', EXAMPLES)
    .action((what: string, name: string | undefined, target: string | undefined, _: unknown, self: Command) =>
      change(context, what, name, target, self.optsWithGlobals()),
    )
}

async function change(
  context: Context,
  what: string,
  name: string | undefined,
  target: string | undefined,
  options: RootOptions,
): Promise<void> {
  if (what === 'list') return list(context, name, options)
  if (options.json === true) throw new UsageError('--json is for root list')
  if (name === undefined) throw new UsageError(`root ${what} needs a name`)
  const root = what === 'add' ? rootOf(name, target, options) : undefined
  if (root === undefined && (target !== undefined || options.folder !== undefined)) {
    throw new UsageError('root remove takes a name only')
  }
  const objects = objectStoreAddress(options)
  if (objects !== undefined) {
    return root === undefined
      ? removeFromObjects(objects, name, context)
      : addToObjects(objects, root, context)
  }
  const { setRoot, removeRoot } = await import('@neve/store-pathinfo/gc')
  await using store = await openEmbedded(context, options, 'write', 'root')
  if (root === undefined) await removeRoot(store.engine, name)
  else await setRoot(store.engine, root)
}

async function list(context: Context, name: string | undefined, options: RootOptions): Promise<void> {
  if (name !== undefined || options.folder !== undefined) throw new UsageError('root list takes no arguments')
  const { listRoots, targetText } = await import('@neve/store-pathinfo/gc')
  const objects = objectStoreAddress(options)
  if (objects !== undefined) {
    const { listObjectRoots } = await import('@neve/store-pathinfo/object-gc')
    await using opened = await openObjects(objects)
    await print(
      context,
      options,
      await listObjectRoots(opened.store, { signal: context.io.signal }),
      targetText,
    )
    return
  }
  await using store = await openEmbedded(context, options, 'read', 'root')
  await print(context, options, listRoots(store.engine), targetText)
}

async function print(
  context: Context,
  options: RootOptions,
  roots: readonly Root[],
  targetText: (target: StorePath | B3Digest) => string,
): Promise<void> {
  for (const root of roots) {
    const led = 'folder' in root ? { folder: root.folder } : { target: targetText(root.target) }
    const text =
      options.json === true
        ? jsonLine({ name: root.name, ...led })
        : `${root.name}\t${Object.values(led)[0]}\n`
    await context.io.stdout.write(text)
  }
}

async function removeFromObjects(address: string, name: string, { io: { signal } }: Context): Promise<void> {
  const { removeObjectRoot } = await import('@neve/store-pathinfo/object-gc')
  await using opened = await openObjects(address)
  await removeObjectRoot(opened.store, name, { signal })
}

function rootOf(name: string, target: string | undefined, { folder }: RootOptions): Root {
  if ((target === undefined) === (folder === undefined)) {
    throw new UsageError('root add needs a store path or digest, or --folder FOLDER')
  }
  return folder === undefined ? { name, target: parseTarget(target!) } : { name, folder: resolve(folder) }
}

function parseTarget(text: string): StorePath | B3Digest {
  if (/^(blake3-|b3:|[0-9a-f]{64}$)/.test(text)) {
    try {
      return B3Digest.parse(text)
    } catch (error) {
      throw new UsageError(`${text}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return parseStorePaths([text])[0]!
}
