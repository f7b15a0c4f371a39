import { type Directory, type Node, Path } from '@neve/castore-model'
import type { BlobService, DirectoryService } from '@neve/castore-services'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { type IngestArchiveOptions, ingestArchive } from '@neve/castore-services/ingest/archive'

/** One header and what follows it. */
export interface TarPart {
  readonly name: string | Uint8Array
  /** Default: `0`, a file. */
  readonly type?: string
  readonly content?: string | Uint8Array
  /** Default: the length of the content. */
  readonly size?: number
  readonly link?: string | Uint8Array
  readonly mode?: number
  /** Default: ustar. */
  readonly dialect?: 'ustar' | 'gnu' | 'v7'
  /** Changes the block before its checksum is computed. */
  readonly patch?: (block: Buffer) => void
}

const bytesOf = (value: string | Uint8Array): Buffer =>
  typeof value === 'string' ? Buffer.from(value) : Buffer.from(value)

const MAGIC = { ustar: 'ustar\x0000', gnu: 'ustar  \0', v7: '' } as const

/** A header with its checksum. */
export function header(part: TarPart): Buffer {
  const block = Buffer.alloc(512)
  const { size = bytesOf(part.content ?? '').length, mode = 0o644 } = part
  bytesOf(part.name).copy(block, 0, 0, 100)
  block.write(`${mode.toString(8).padStart(7, '0')}\0`, 100, 'latin1')
  block.write('0000000\0', 108, 'latin1')
  block.write('0000000\0', 116, 'latin1')
  block.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1')
  block.write('00000000000\0', 136, 'latin1')
  block.write(part.type ?? '0', 156, 'latin1')
  bytesOf(part.link ?? '').copy(block, 157, 0, 100)
  block.write(MAGIC[part.dialect ?? 'ustar'], 257, 'latin1')
  part.patch?.(block)
  return checksummed(block)
}

/** Writes the checksum of a header into it. */
export function checksummed(block: Buffer): Buffer {
  block.fill(' ', 148, 156)
  const sum = block.reduce((a, b) => a + b, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

/** A header and its content, filled up to a whole block. */
export function entry(part: TarPart): Buffer {
  const content = bytesOf(part.content ?? '')
  return Buffer.concat([header(part), content, Buffer.alloc((512 - (content.length % 512)) % 512)])
}

/** Two zero blocks. */
export const END = Buffer.alloc(1024)

/** An archive of these entries, with its end. */
export function archive(...parts: (TarPart | Buffer)[]): Buffer {
  return Buffer.concat([...parts.map((part) => (Buffer.isBuffer(part) ? part : entry(part))), END])
}

export const dir = (name: string | Uint8Array): TarPart => ({ name, type: '5', mode: 0o755 })
export const file = (name: string | Uint8Array, content: string | Uint8Array = ''): TarPart => ({
  name,
  content,
})
export const symlink = (name: string, link: string | Uint8Array): TarPart => ({ name, type: '2', link })
export const hardLink = (name: string, link: string): TarPart => ({ name, type: '1', link })

/** One record of a PAX header, with the length that counts itself. */
export function paxRecord(key: string, value: string | Uint8Array): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), bytesOf(value), Buffer.from('\n')])
  let length = rest.length + 1
  while (`${length}`.length + rest.length !== length) length = `${length}`.length + rest.length
  return Buffer.concat([Buffer.from(`${length}`), rest])
}

/** A PAX header for the entry that follows. */
export function pax(...records: (readonly [string, string | Uint8Array])[]): TarPart {
  return {
    name: 'PaxHeaders/x',
    type: 'x',
    content: Buffer.concat(records.map(([key, value]) => paxRecord(key, value))),
  }
}

/** A name of GNU tar that does not fit into a header. */
export function longName(name: string | Uint8Array, type: 'L' | 'K' = 'L'): TarPart {
  return {
    name: '././@LongLink',
    type,
    dialect: 'gnu',
    content: Buffer.concat([bytesOf(name), Buffer.alloc(1)]),
  }
}

/** Bytes in pieces of one length. */
export async function* pieces(bytes: Uint8Array, length = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length)
}

export interface Ingested {
  readonly node: Node
  readonly blobs: BlobService
  readonly directories: DirectoryService
}

/** Ingests into services of its own in memory. */
export async function ingest(bytes: Uint8Array, options: IngestArchiveOptions = {}): Promise<Ingested> {
  const services = { blobs: new MemoryBlobService(), directories: new MemoryDirectoryService() }
  return { ...services, node: await ingestArchive(services, pieces(bytes), options) }
}

/** A tree as lines: `path`, then content in quotes, `*` behind that of an executable, `-> target`, or `/`. */
export async function tree({ node, blobs, directories }: Ingested): Promise<string[]> {
  const lines: string[] = []
  const walk = async (node: Node, path: Path): Promise<void> => {
    const name = Buffer.from(path.bytes).toString('latin1')
    if (node.kind === 'symlink') lines.push(`${name} -> ${Buffer.from(node.target.bytes).toString('latin1')}`)
    else if (node.kind === 'file') {
      const content = await blobs.get(node.digest)
      if (content === undefined) throw new Error(`no blob for ${name}`)
      lines.push(`${name} "${Buffer.from(content).toString('latin1')}"${node.executable ? '*' : ''}`)
    } else {
      const directory: Directory | undefined = await directories.get(node.digest)
      if (directory === undefined) throw new Error(`no directory ${name}`)
      if (name !== '') lines.push(`${name}/`)
      for (const entry of directory.entries) await walk(entry.node, path.join(entry.name))
    }
  }
  await walk(node, Path.ROOT)
  return lines
}

/** What a thing that has to fail fails with. */
export async function failureOf(doing: Promise<unknown>): Promise<Error & { readonly code?: string }> {
  const error: unknown = await doing.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (error instanceof Error) return error
  throw new Error(`expected it to fail, got ${String(error)}`)
}
