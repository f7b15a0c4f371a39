import { createHash } from 'node:crypto'
import {
  type NarDirectoryWriter,
  type NarNode,
  type NarNodeWriter,
  type NarReaderOptions,
  openNar,
  openNarWriter,
} from '@neve/nar'
import { type ByteInput, ByteSource, MemorySink } from '@neve/nix-compat/wire'

export type Tree =
  | { symlink: Uint8Array }
  | { file: Uint8Array; executable?: boolean }
  | { entries: [name: Uint8Array, node: Tree][] }

export const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'))
export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
export const ascii = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text))
export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

export const file = (text: string | Uint8Array, executable = false): Tree => ({
  file: typeof text === 'string' ? ascii(text) : text,
  executable,
})
export const symlink = (target: string): Tree => ({ symlink: ascii(target) })
export const directory = (...entries: [string | Uint8Array, Tree][]): Tree => ({
  entries: entries.map(([name, node]) => [typeof name === 'string' ? ascii(name) : name, node]),
})

/** The `bytes` primitive, written down a second time so that it does not lean on what is tested. */
export function packet(payload: string | Uint8Array, length = payload.length): Uint8Array {
  const body = Buffer.from(payload)
  const out = Buffer.alloc(8 + Math.ceil(body.length / 8) * 8)
  out.writeBigUInt64LE(BigInt(length))
  body.copy(out, 8)
  return out
}

/** An archive from strings and raw pieces, right or wrong. */
export function raw(...parts: (string | Uint8Array)[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts.map((part) => (typeof part === 'string' ? packet(part) : part))))
}

/** The grammar of spec 09 section 4.1, read off; checks nothing. */
export function encodeTree(tree: Tree): Uint8Array {
  return raw('nix-archive-1', encodeNode(tree))
}

export function encodeNode(tree: Tree): Uint8Array {
  if ('symlink' in tree) return raw('(', 'type', 'symlink', 'target', packet(tree.symlink), ')')
  if ('file' in tree) {
    const marker = tree.executable === true ? raw('executable', '') : raw()
    return raw('(', 'type', 'regular', marker, 'contents', packet(tree.file), ')')
  }
  const entries = tree.entries.map(([name, node]) =>
    raw('entry', '(', 'name', packet(name), 'node', encodeNode(node), ')'),
  )
  return raw('(', 'type', 'directory', ...entries, ')')
}

/** Reads an archive and nothing behind it, with the primitives only. */
export async function readTree(input: ByteInput, options?: NarReaderOptions): Promise<Tree> {
  return treeOf(await openNar(input, options))
}

export async function treeOf(node: NarNode): Promise<Tree> {
  switch (node.kind) {
    case 'symlink':
      return { symlink: node.target }
    case 'file': {
      const content: Uint8Array[] = []
      while (node.content.length > 0n) content.push((await node.content.read(1 << 20)).slice())
      return { file: Uint8Array.from(Buffer.concat(content)), executable: node.executable }
    }
    case 'directory': {
      const entries: [Uint8Array, Tree][] = []
      for (;;) {
        const entry = await node.entries.next()
        if (entry === null) return { entries }
        entries.push([entry.name, await treeOf(entry.node)])
      }
    }
  }
}

export async function writeTree(tree: Tree): Promise<Uint8Array> {
  const sink = new MemorySink()
  const root = openNarWriter(sink)
  await writeNode(root, tree)
  await root.finish()
  return sink.bytes()
}

export async function writeNode(writer: NarNodeWriter, tree: Tree): Promise<void> {
  if ('symlink' in tree) return writer.symlink(tree.symlink)
  if ('file' in tree) return writer.file(tree.executable ?? false, BigInt(tree.file.length), tree.file)
  const opened: NarDirectoryWriter = await writer.directory()
  for (const [name, node] of tree.entries) await writeNode(await opened.entry(name), node)
  return opened.close()
}

/** The `code` of the error that a promise fails with. */
export async function code(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'no error',
    (error: { code?: unknown }) => error.code ?? error,
  )
}

export async function failure(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => {
      throw new Error('no error')
    },
    (error: Error) => error,
  )
}

export function bytewise(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (byte) => Uint8Array.of(byte))
}

/** A source that complains when it is asked for more than these chunks. */
export function strict(...chunks: Uint8Array[]): ByteSource {
  return ByteSource.from(
    (async function* () {
      yield* chunks
      throw new Error('asked for more than the format needs')
    })(),
  )
}

export async function rest(source: ByteSource): Promise<Uint8Array> {
  const sink = new MemorySink()
  for await (const chunk of source.rest()) sink.write(chunk)
  return sink.bytes()
}
