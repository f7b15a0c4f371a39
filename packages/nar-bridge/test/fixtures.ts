import { createHash } from 'node:crypto'
import { type Node, SymlinkTarget } from '@neve/castore-model'
import { encodeNixbase32, StorePath } from '@neve/nix-compat'
import { type IngestedNar, ingestNar, type PathInfo, type Store } from '@neve/store-pathinfo'

/** One string of an archive, as the wire has it. */
function word(text: string): Buffer {
  const bytes = Buffer.from(text)
  const framed = Buffer.alloc(8 + Math.ceil(bytes.length / 8) * 8)
  framed.writeUInt32LE(bytes.length, 0)
  bytes.copy(framed, 8)
  return framed
}

export function nar(...words: string[]): Buffer {
  return Buffer.concat(['nix-archive-1', ...words].map(word))
}

const KEEP = ['(', 'type', 'regular', 'contents', '', ')']
const SOMEWHERE = '/nix/store/somewhereelse'
const LINK = ['(', 'type', 'symlink', 'target', SOMEWHERE, ')']
const entry = (name: string, node: string[]) => ['entry', '(', 'name', name, 'node', ...node, ')']

/** The archives of spec 07 section 11 and spec 09 section 15: N-4, N-3, N-6. */
export const SYMLINK = nar(...LINK)
export const HELLOWORLD = nar('(', 'type', 'regular', 'contents', 'Hello World!', ')')
export const COMPLICATED = nar(
  ...['(', 'type', 'directory', ...entry('.keep', KEEP), ...entry('aa', LINK)],
  ...[...entry('keep', ['(', 'type', 'directory', ...entry('.keep', KEEP), ')']), ')'],
)

export const SYMLINK_NODE: Node = { kind: 'symlink', target: SymlinkTarget.from(SOMEWHERE) }

export const sha256 = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(createHash('sha256').update(bytes).digest())

/** The name of a file in a cache, without what comes behind it. */
export const fileHash = (bytes: Uint8Array): string => encodeNixbase32(sha256(bytes))

/** Where an archive is put, and had again. */
export const narPath = (archive: Uint8Array): string => `/nar/${fileHash(archive)}.nar`

/** The narinfo of a store path without references that has an archive. */
export const narInfo = (storePath: string, archive: Uint8Array): string =>
  Object.entries({
    StorePath: `/nix/store/${storePath}`,
    URL: narPath(archive).slice(1),
    Compression: 'none',
    NarHash: `sha256:${fileHash(archive)}`,
    NarSize: archive.length,
    References: '',
  })
    .map(([key, value]) => `${key}: ${value}\n`)
    .join('')

/** PATH_INFO_SYMLINK of spec 07 section 11. */
export const SYMLINK_INFO = pathInfo('00000000000000000000000000000000-dummy', SYMLINK_NODE, SYMLINK)

export function pathInfo(name: string, node: Node, archive: Uint8Array): PathInfo {
  return {
    storePath: StorePath.parse(name),
    node,
    references: [],
    narSize: BigInt(archive.length),
    narSha256: sha256(archive),
    signatures: [],
    deriver: undefined,
    ca: undefined,
  }
}

/** Puts an archive into a store, in one piece. */
export function ingest(store: Store, archive: Uint8Array): Promise<IngestedNar> {
  return ingestNar(
    store,
    (async function* () {
      yield archive
    })(),
  )
}
