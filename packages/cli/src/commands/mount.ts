import { Command, Option } from 'commander'
import type { Context, GlobalOptions } from '../context.js'
import { type MountRequest, serveMount } from '../mount/serve.js'
import { parseDuration, parseSize, parseUidGid } from '../numbers.js'
import { isOn } from '../store-options.js'

interface MountCommandOptions extends GlobalOptions {
  readonly root?: string
  readonly listRoot?: boolean
  readonly allowOther?: boolean
  readonly showXattr: boolean
  readonly forceUnmountStale?: boolean
  readonly uidGid?: string
  readonly chunkCache?: string
  readonly lease: boolean
  readonly gcGrace?: string
  readonly background?: boolean
}

const EXAMPLES = `
Examples:
  $ mkdir ~/store && neve mount --background --list-root ~/store
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
    .option('--uid-gid <uid:gid>', 'whom everything belongs to (default: 0:0)')
    .option('--chunk-cache <size>', 'memory for expanded chunks of large files (default: 64M, at least 24M)')
    .option('--no-lease', 'let garbage be collected at once while it is mounted: what is in use may go, too')
    .option('--gc-grace <duration>', 'how long to hold garbage back that is not in use (default: 10s)')
    .option('--background', 'go to the background once it is mounted')
    .addOption(new Option('--foreground', 'stay in the foreground, as without it').conflicts('background'))
    .addHelpText('after', EXAMPLES)
    .action((dest: string, _: unknown, self: Command) =>
      mountStore(context, dest, self.optsWithGlobals<MountCommandOptions>()),
    )
}

async function mountStore(context: Context, dest: string, options: MountCommandOptions): Promise<void> {
  const background = options.background ? await import('../mount/background.js') : undefined
  if (background?.isInBackground() === false) return background.runInBackground(context)
  const owner = options.uidGid === undefined ? undefined : parseUidGid('--uid-gid', options.uidGid)
  const chunkCacheBytes =
    options.chunkCache === undefined ? undefined : parseSize('--chunk-cache', options.chunkCache)
  const { ServingThread } = await import('@neve/fs-fuse/embedded')
  // It loads what it needs while the store is opened, most probably one that it can serve.
  const thread = new ServingThread(import.meta.resolve('./mount-thread.js'))
  const gcGrace = options.gcGrace === undefined ? undefined : parseDuration('--gc-grace', options.gcGrace)
  const { root, allowOther, listRoot = root !== undefined, showXattr, forceUnmountStale, lease } = options
  const request: MountRequest = {
    ...{
      root,
      thread,
      allowOther,
      listRoot,
      showXattr,
      forceUnmountStale,
      lease,
      gcGrace,
      owner,
      chunkCacheBytes,
    },
    onTrouble: ({ operation, path, error }) => tell(context, `${operation} ${path}`, error),
    onFault: (error) => tell(context, 'a request could not be answered', error),
  }
  try {
    await using served = await serveMount(context, dest, options, request)
    const { mount, shows } = served
    const { signal, stderr } = context.io
    const manager = await managerOf(context)
    context.runsUntilStopped = true
    const stop = () => {
      manager?.stopping()
      void mount.unmount().catch((error: unknown) => context.fail(error))
    }
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    else {
      stderr.write(`neve: mounted on ${mount.mountpoint}\n`)
      context.debug({ ...shows, mountpoint: mount.mountpoint, listRoot, allowOther, lease }, 'mounted')
      manager?.ready()
      await background?.letGo()
    }
    await mount.wait()
  } finally {
    await thread.close()
  }
}

/** What is loaded for it is loaded only where there is one. */
async function managerOf(context: Context) {
  if (process.env['NOTIFY_SOCKET'] === undefined) return undefined
  const { serviceManager } = await import('@neve/castore-services/listen')
  return serviceManager((error) => tell(context, 'the service manager cannot be told', error))
}

function tell(context: Context, what: string, error: unknown): void {
  const reason = error instanceof Error ? error.message : String(error)
  context.log().then(
    (log) => log.error(`${what}: ${reason}`),
    () => {},
  )
}
