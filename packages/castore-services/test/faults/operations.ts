import { B3Digest, Directory, type Node, PathComponent } from '@neve/castore-model'
import {
  type BlobListStore,
  type BlobService,
  blobStream,
  type ChunkMeta,
  type ChunkStore,
  type DirectoryService,
} from '@neve/castore-services'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { collectBytes, HELLO, randomBlob, sameBytes } from '../../src/contract/blob-fixtures.js'
import { closureOf, upload } from '../../src/contract/directory-fixtures.js'
import { ChunkingBlobService } from '../chunking-blob-service.js'

/** All that a server serves, or a client sees. */
export interface Services {
  readonly blobs: BlobService
  readonly directories: DirectoryService
  readonly chunks: ChunkStore
  readonly lists: BlobListStore
}

/** What a server keeps its content in, open to inspection. */
export class Backing {
  readonly blobs = new ChunkingBlobService(65536)
  readonly directories = new RecordingDirectories()

  /** What is stored, as text: `blob` or `directory` and a digest. */
  stored(): Set<string> {
    return new Set([
      ...[...this.blobs.pieces.keys(), ...this.blobs.lists.keys()].map((key) => `blob ${hexOf(key)}`),
      ...[...this.directories.keys].map((key) => `directory ${hexOf(key)}`),
    ])
  }
}

class RecordingDirectories extends MemoryDirectoryService {
  readonly keys = new Set<string>()

  override async put(...args: Parameters<MemoryDirectoryService['put']>): Promise<B3Digest> {
    const digest = await super.put(...args)
    this.keys.add(digest.key)
    return digest
  }
}

function hexOf(key: string): string {
  return Buffer.from(key, 'latin1').toString('hex')
}

/** One thing that clients do. */
export interface Operation {
  readonly name: string
  /** Puts into the server's store what is needed. */
  prepare(backing: Backing): Promise<unknown>
  run(services: Services): Promise<unknown>
  /** Whether the result is the right one. */
  right(result: unknown): boolean
  /** Whether the result may be, when the bytes of the request or the answer were changed under way. */
  bearable(result: unknown): boolean
  /** Whether the effect is there for good. Default: there is none. */
  done?(backing: Backing): Promise<boolean>
}

const LARGE = randomBlob(600_000, 71)
const CHUNK = randomBlob(3_000_000, 72)
const WHOLE = { maxSize: 4_000_000 }

const PIECES = Array.from({ length: 40 }, (_, index) => randomBlob(1000 + index, 300 + index))
const LISTED = Buffer.concat(PIECES.map(({ content }) => content))
const LISTED_DIGEST = B3Digest.of(LISTED)
const LIST: readonly ChunkMeta[] = PIECES.map(({ content, digest }) => ({
  digest,
  size: BigInt(content.length),
}))

function directory(name: string, entries: Readonly<Record<string, Node>>): Directory {
  const file: Node = { kind: 'file', digest: HELLO.digest, size: 12n, executable: false }
  return Directory.fromEntries(
    Object.entries({ [name]: file, ...entries }).map(
      ([key, node]) => [PathComponent.from(key), node] as const,
    ),
  )
}

const LEAVES = Array.from({ length: 60 }, (_, index) => directory(`file ${index}`, {}))
const ROOT = directory(
  'root',
  Object.fromEntries(LEAVES.map((leaf, index) => [`leaf ${index}`, leaf.toNode()])),
)
const CLOSURE = [...LEAVES, ROOT]

const isContent = (content: Uint8Array) => (result: unknown) => sameBytes(result as Uint8Array, content)
const isDigest = (digest: B3Digest) => (result: unknown) =>
  result instanceof B3Digest && result.equals(digest)
const orMissing = (right: (result: unknown) => boolean) => (result: unknown) =>
  result === undefined || right(result)
const isBoolean = (result: unknown) => typeof result === 'boolean'
const anything = () => true

function isClosure(result: unknown): boolean {
  const [root, ...leaves] = result as readonly Directory[]
  const found = new Set(leaves.map((leaf) => leaf.digest().key))
  const whole = leaves.length === LEAVES.length && LEAVES.every((leaf) => found.has(leaf.digest().key))
  return root?.equals(ROOT) === true && whole
}

async function putPieces({ blobs }: Backing): Promise<void> {
  for (const { content } of PIECES) await blobs.put(content)
}

async function putListed(backing: Backing): Promise<void> {
  await putPieces(backing)
  backing.blobs.lists.set(LISTED_DIGEST.key, LIST)
}

async function writePiecemeal({ blobs }: Services, content: Uint8Array): Promise<B3Digest> {
  await using writer = blobs.openWrite()
  for (let at = 0; at < content.length; at += 50_000) await writer.write(content.subarray(at, at + 50_000))
  return await writer.close()
}

const nothing = async () => {}

/** Everything that goes over the wire. */
export const OPERATIONS: readonly Operation[] = [
  {
    name: 'BlobService.has',
    prepare: ({ blobs }) => blobs.put(HELLO.content),
    run: ({ blobs }) => blobs.has(HELLO.digest),
    right: (result) => result === true,
    bearable: isBoolean,
  },
  {
    name: 'BlobService.chunks',
    prepare: ({ blobs }) => blobs.put(LARGE.content),
    run: async ({ blobs }) => (await blobs.chunks(LARGE.digest))?.reduce((sum, { size }) => sum + size, 0n),
    right: (result) => result === BigInt(LARGE.content.length),
    bearable: anything,
  },
  {
    name: 'BlobService.get',
    prepare: ({ blobs }) => blobs.put(LARGE.content),
    run: ({ blobs }) => blobs.get(LARGE.digest, WHOLE),
    right: isContent(LARGE.content),
    bearable: orMissing(isContent(LARGE.content)),
  },
  {
    name: 'BlobService.open, of a blob in chunks',
    prepare: ({ blobs }) => blobs.put(LARGE.content),
    run: ({ blobs }) => readThrough(blobs, LARGE.digest),
    right: isContent(LARGE.content),
    bearable: orMissing(isContent(LARGE.content)),
  },
  {
    name: 'BlobService.open, of a blob in one piece',
    prepare: async ({ blobs }) => blobs.pieces.set(LARGE.digest.key, LARGE.content),
    run: ({ blobs }) => readThrough(blobs, LARGE.digest),
    right: isContent(LARGE.content),
    bearable: orMissing(isContent(LARGE.content)),
  },
  {
    name: 'BlobService.put',
    prepare: nothing,
    run: ({ blobs }) => blobs.put(LARGE.content),
    right: isDigest(LARGE.digest),
    bearable: isDigest(LARGE.digest),
    done: ({ blobs }) => blobs.has(LARGE.digest),
  },
  {
    name: 'BlobService.openWrite',
    prepare: nothing,
    run: (services) => writePiecemeal(services, LARGE.content),
    right: isDigest(LARGE.digest),
    bearable: isDigest(LARGE.digest),
    done: ({ blobs }) => blobs.has(LARGE.digest),
  },
  {
    name: 'DirectoryService.get',
    prepare: ({ directories }) => upload(directories, ...CLOSURE),
    run: ({ directories }) => directories.get(ROOT.digest()),
    right: (result) => result instanceof Directory && result.equals(ROOT),
    bearable: orMissing((result) => (result as Directory).equals(ROOT)),
  },
  {
    name: 'DirectoryService.getRecursive',
    prepare: ({ directories }) => upload(directories, ...CLOSURE),
    run: ({ directories }) => closureOf(directories, ROOT.digest()),
    right: isClosure,
    bearable: (result) => (result as readonly Directory[]).length === 0 || isClosure(result),
  },
  {
    name: 'DirectoryService.put',
    prepare: nothing,
    run: ({ directories }) => directories.put(LEAVES[0]!),
    right: isDigest(LEAVES[0]!.digest()),
    bearable: isDigest(LEAVES[0]!.digest()),
    done: async ({ directories }) => (await directories.get(LEAVES[0]!.digest())) !== undefined,
  },
  {
    name: 'DirectoryService.putMultipleStart',
    prepare: nothing,
    run: ({ directories }) => upload(directories, ...CLOSURE),
    right: isDigest(ROOT.digest()),
    bearable: isDigest(ROOT.digest()),
    done: async ({ directories }) => isClosure(await closureOf(directories, ROOT.digest())),
  },
  {
    name: 'ChunkStore.has',
    prepare: ({ blobs }) => blobs.put(HELLO.content),
    run: ({ chunks }) => chunks.has(HELLO.digest),
    right: (result) => result === true,
    bearable: isBoolean,
  },
  {
    name: 'ChunkStore.get',
    prepare: ({ blobs }) => blobs.put(CHUNK.content),
    run: ({ chunks }) => chunks.get(CHUNK.digest),
    right: isContent(CHUNK.content),
    bearable: orMissing(isContent(CHUNK.content)),
  },
  {
    name: 'ChunkStore.put',
    prepare: nothing,
    run: ({ chunks }) => chunks.put(CHUNK.content),
    right: isDigest(CHUNK.digest),
    bearable: isDigest(CHUNK.digest),
    done: ({ blobs }) => blobs.has(CHUNK.digest),
  },
  {
    name: 'BlobListStore.has',
    prepare: putListed,
    run: ({ lists }) => lists.has(LISTED_DIGEST),
    right: (result) => result === true,
    bearable: isBoolean,
  },
  {
    name: 'BlobListStore.get',
    prepare: putListed,
    run: async ({ lists }) => (await lists.get(LISTED_DIGEST))?.map(({ digest }) => digest.toHex()).join(),
    right: (result) => result === LIST.map(({ digest }) => digest.toHex()).join(),
    bearable: anything,
  },
  {
    name: 'BlobListStore.put',
    prepare: putPieces,
    run: async ({ lists }) => {
      await lists.put(LISTED_DIGEST, LIST)
      return 'stored'
    },
    right: (result) => result === 'stored',
    bearable: (result) => result === 'stored',
    done: async ({ blobs }) => sameBytes(await blobs.get(LISTED_DIGEST), LISTED),
  },
]

async function readThrough(blobs: BlobService, digest: B3Digest): Promise<Uint8Array | undefined> {
  await using reader = await blobs.open(digest)
  return reader && (await collectBytes(blobStream(reader)))
}
