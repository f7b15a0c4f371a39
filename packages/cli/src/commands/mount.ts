import type { EmbeddedMountOptions, FuseMount, ServingThread } from '@neve/fs-fuse'
import type { Store } from '@neve/store-pathinfo'
import { Command, InvalidArgumentError, Option } from 'commander'
import type { Context, GlobalOptions } from '../context.js'
import { isOn } from '../store-options.js'

interface MountCommandOptions extends GlobalOptions {
  readonly root?: string
  readonly listRoot?: boolean
  readonly allowOther?: boolean
  readonly showXattr: boolean
  readonly forceUnmountStale?: boolean
  readonly uidGid?: { readonly uid: number; readonly gid: number }
}

const EXAMPLES = `
Examples:
  $ mkdir ~/store && neve mount --list-root ~/store &
  $ ls ~/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result/bin
  $ neve mount --root blake3-XKeBWty0hOmhNsEe/mnB1TAXbVSbXRjQOOtSgLSzRww= /mnt

Everything in the mount is checked against its digest when it is read. It ends when it is unmounted, or interrupted.
Users who are not root need the program fusermount3, which is in the package fuse3 of most distributions.
`

/** `neve mount DEST` (spec 08 section 3.4). */
export function mountCommand(context: Context): Command {
  return new Command('mount')
    .description('Show a store as a read-only filesystem.')
    .argument('<dest>', 'where to mount it: a directory')
    .option('--root <digest>', 'show one directory of the store in place of all store paths')
    .option('-l, --list-root', 'let the root be listed; names in it can be reached in any case')
    .addOption(
      new Option(
        '--allow-other',
        'let other users in; it needs user_allow_other in /etc/fuse.conf, but for root',
      ).default(isOn(process.env['NEVE_ALLOW_OTHER'] ?? process.env['ALLOW_OTHER'])),
    )
    .option('--no-show-xattr', 'show no digests as extended attributes')
    .option('--force-unmount-stale', 'take away a mount on DEST that is left over from a crash')
    .option('--uid-gid <uid:gid>', 'whom everything belongs to (default: 0:0)', uidGid)
    .addHelpText('after', EXAMPLES)
    .action((dest: string, _: unknown, self: Command) =>
      mountStore(context, dest, self.optsWithGlobals<MountCommandOptions>()),
    )
}

async function mountStore(context: Context, dest: string, options: MountCommandOptions): Promise<void> {
  const fuse = await import('@neve/fs-fuse')
  // It loads what it needs while the store is opened, most probably one that it can serve.
  const thread = new fuse.ServingThread()
  try {
    await using store = await context.openStore(options, 'read')
    const mount = await mountOf(context, store, dest, { ...options, thread })
    const { signal, stderr } = context.io
    context.runsUntilStopped = true
    const stop = () => void mount.unmount().catch((error: unknown) => context.fail(error))
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    else stderr.write(`neve: mounted on ${mount.mountpoint}\n`)
    await mount.wait()
  } finally {
    await thread.close()
  }
}

/** An embedded store has a thread of its own that reads it; any other is asked from here. */
async function mountOf(
  context: Context,
  store: Store,
  dest: string,
  options: MountCommandOptions & { readonly thread: ServingThread },
): Promise<FuseMount> {
  const fuse = await import('@neve/fs-fuse')
  const { allowOther, listRoot = options.root !== undefined, showXattr, uidGid: owner } = options
  const settings: EmbeddedMountOptions = {
    allowOther,
    forceUnmountStale: options.forceUnmountStale,
    listRoot,
    showXattr,
    owner,
    onTrouble: ({ operation, path, error }) => tell(context, `${operation} ${path}`, error),
    onFault: (error) => tell(context, 'a request could not be answered', error),
  }
  const directory = options.root === undefined ? undefined : await directoryOf(store, options.root)
  if (store.engine !== undefined) {
    const module = import.meta.resolve('@neve/store-pathinfo/embedded-roots')
    const roots = directory === undefined ? { module } : { directory: directory.digest().toSri() }
    return fuse.mountEmbedded(store.engine.path, roots, dest, { ...settings, thread: options.thread })
  }
  const { PathInfoRoots } = await import('@neve/store-pathinfo')
  const roots = directory === undefined ? new PathInfoRoots(store.pathInfos) : fuse.MapRootNodes.of(directory)
  const content = new fuse.ServiceContent(store.blobs, store.directories)
  return fuse.mountFilesystem(new fuse.CastoreFilesystem({ ...settings, roots, content }), dest, settings)
}

async function directoryOf(store: Store, address: string) {
  const { resolveAddress } = await import('../address.js')
  const { node } = await resolveAddress(store, address)
  if (node.kind === 'directory') {
    const directory = await store.directories.get(node.digest)
    if (directory !== undefined) return directory
  }
  const { StoreError } = await import('@neve/store-pathinfo')
  throw new StoreError('not-found', `--root ${address} is a ${node.kind}, expected a directory`)
}

function tell(context: Context, what: string, error: unknown): void {
  const reason = error instanceof Error ? error.message : String(error)
  context.log().then(
    (log) => log.error(`${what}: ${reason}`),
    () => {},
  )
}

function uidGid(text: string): { uid: number; gid: number } {
  const [, uid, gid] = /^(\d{1,10}):(\d{1,10})$/.exec(text) ?? []
  const owner = { uid: Number(uid), gid: Number(gid) }
  if (uid !== undefined && owner.uid < 2 ** 32 && owner.gid < 2 ** 32) return owner
  throw new InvalidArgumentError('Expected two numbers below 4294967296, such as 1000:100.')
}
