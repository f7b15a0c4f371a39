// Mounts what a file describes and serves it, as whoever it is run as: a process of its own, so that no fault of a mount
// can hang a test. It is told what to do by lines on its standard input, and answers with lines of JSON.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { B3Digest, Directory, PathComponent, SymlinkTarget } from '@neve/castore-model'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { CastoreFilesystem, mountFilesystem, ServiceContent } from '@neve/fs-fuse'

const [description = '', mountpoint = ''] = process.argv.slice(2)
const spec = JSON.parse(readFileSync(description, 'utf8'))

const blobs = new MemoryBlobService()
for (const content of spec.blobs) await blobs.put(Buffer.from(content, 'base64'))
const directories = new MemoryDirectoryService()
for (const bytes of spec.directories) await directories.put(Directory.decode(Buffer.from(bytes, 'base64')))

const roots = new Map(spec.roots.map(([name, node]) => [name, nodeOf(node)]))
const empty = { kind: 'file', digest: B3Digest.EMPTY, size: 0n, executable: false }
const numbered = (count) =>
  Array.from({ length: count }, (_, index) => `entry-${String(index).padStart(6, '0')}`)
for (const name of numbered(spec.generatedRoots ?? 0)) roots.set(name, empty)
if (spec.generatedDirectory !== undefined) {
  const wide = Directory.fromEntries(
    numbered(spec.generatedDirectory).map((name) => [PathComponent.from(name), empty]),
  )
  await directories.put(wide)
  roots.set('wide', wide.toNode())
}
if (spec.generatedTree !== undefined) {
  const folders = numbered(spec.generatedTree).map((name, index) => {
    const folder = Directory.fromEntries(
      numbered(99).map((file) => [PathComponent.from(`${index}-${file}`), empty]),
    )
    return [PathComponent.from(name), folder]
  })
  for (const [, folder] of folders) await directories.put(folder)
  const tree = Directory.fromEntries(folders.map(([name, folder]) => [name, folder.toNode()]))
  await directories.put(tree)
  roots.set('tree', tree.toNode())
}

/** What the tests change while it is mounted. */
const state = {
  failing: false,
  listFailsAfter: Number.POSITIVE_INFINITY,
  listingsClosed: 0,
  reads: 0,
  lookups: 0,
}
const held = {}
const release = {}

const rootNodes = {
  async get(name, options) {
    state.lookups += 1
    await waitWhileHeld('lookup', options?.signal)
    if (state.failing) throw new Error('the provider is away')
    return roots.get(Buffer.from(name.bytes).toString('latin1'))
  },
  async *list() {
    let listed = 0
    try {
      for (const name of [...roots.keys()].sort()) {
        if (listed++ >= state.listFailsAfter) throw new Error('the provider is away')
        yield { name: PathComponent.from(Buffer.from(name, 'latin1')), node: roots.get(name) }
      }
    } finally {
      state.listingsClosed += 1
    }
  },
}

const services = new ServiceContent(blobs, directories)
/** Content that can be held up, and lost or cut short. */
const content = {
  directory: (digest, options) => services.directory(digest, options),
  async open(digest, size, options) {
    const file = await services.open(digest, size, options)
    return (
      file && {
        async readAt(offset, length, readOptions) {
          state.reads += 1
          await waitWhileHeld('read', readOptions?.signal)
          if (spec.damagedFrom !== undefined && offset + length > spec.damagedFrom) {
            throw new Error('the content is damaged')
          }
          return await file.readAt(offset, length, readOptions)
        },
        close: () => file.close(),
      }
    )
  },
}

const troubles = []
const filesystem = new CastoreFilesystem({
  roots: rootNodes,
  content,
  listRoot: spec.listRoot,
  showXattr: spec.showXattr,
  xattrPrefixes: spec.xattrPrefixes,
  onTrouble: ({ operation, path, error }) => troubles.push(`${operation} ${path}: ${error.message}`),
})
const faults = []
const mount = await mountFilesystem(filesystem, mountpoint, {
  forceUnmountStale: spec.forceUnmountStale,
  onFault: (error) => faults.push(String(error)),
})
mount.wait().then(
  () => process.stdout.write('ended\n', () => process.exit(0)),
  (error) => process.stderr.write(`${error}\n`, () => process.exit(1)),
)
process.on('SIGTERM', () => void mount.unmount())

const commands = {
  stats: () => ({
    nodes: filesystem.nodes.size,
    folders: filesystem.nodes.folderCount,
    handles: filesystem.openHandles,
    listingsClosed: state.listingsClosed,
    reads: state.reads,
    lookups: state.lookups,
    troubles,
    faults,
  }),
  set: (changes) => Object.assign(state, changes),
  add: ([name, node]) => roots.set(name, nodeOf(node)).size,
  store: (bytes) => blobs.put(Buffer.from(bytes, 'base64')).then(String),
  hold: (what) => {
    held[what] = new Promise((resolve) => {
      release[what] = resolve
    })
    return true
  },
  release: (what) => {
    release[what]()
    held[what] = undefined
    return true
  },
  unmount: () => mount.unmount().then(() => true),
  unmountTwice: () => Promise.all([mount.unmount(), mount.unmount()]).then(() => true),
}
createInterface({ input: process.stdin }).on('line', async (line) => {
  const { command, argument } = JSON.parse(line)
  try {
    process.stdout.write(`${JSON.stringify({ value: await commands[command](argument) })}\n`)
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ error: String(error) })}\n`)
  }
})
process.stdout.write('mounted\n')

async function waitWhileHeld(what, signal) {
  if (held[what] === undefined) return
  const interrupted = new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  await Promise.race([held[what], interrupted])
}

function nodeOf(node) {
  if (node.kind === 'symlink')
    return { kind: 'symlink', target: SymlinkTarget.from(Buffer.from(node.target, 'latin1')) }
  const { kind, digest, size, executable } = node
  return kind === 'file'
    ? { kind, digest: B3Digest.parse(digest), size: BigInt(size), executable }
    : { kind, digest: B3Digest.parse(digest), size: BigInt(size) }
}
