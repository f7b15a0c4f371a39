import { type ByteInput, ByteSource } from '@neve/nix-compat/wire'
import type { NarReaderOptions } from './archive.js'
import type { NarDirectory, NarNode } from './nar-directory.js'
import type { NarFile } from './nar-file.js'
import { assertEnd, openNar } from './reader.js'

/** A step of a walk over an archive. The root's name is empty and its depth 0. */
export type NarEvent =
  | { type: 'directory-start'; name: Uint8Array; depth: number }
  | { type: 'directory-end'; depth: number }
  | {
      type: 'file'
      name: Uint8Array
      depth: number
      executable: boolean
      /** Length of the content in bytes. */
      size: bigint
      /** Readable until the next event is asked for; what is left of it then is skipped. */
      content: NarFile
    }
  | { type: 'symlink'; name: Uint8Array; depth: number; target: Uint8Array }

export interface NarEventsOptions extends NarReaderOptions {
  /**
   * The input is this archive and nothing else: bytes behind it are refused. Default: true, except for a
   * `ByteSource`, which keeps what follows.
   */
  wholeStream?: boolean
}

const NO_NAME: Uint8Array = new Uint8Array(0)

/**
 * An archive as a flat sequence of events, depth first in its order (spec 09 section 5), without recursion. Errors
 * are those of `openNar`. Stopping early releases the source.
 */
export async function* narEvents(
  input: ByteInput,
  options: NarEventsOptions = {},
): AsyncGenerator<NarEvent, void, void> {
  const source = ByteSource.from(input)
  const wholeStream = options.wholeStream ?? !(input instanceof ByteSource)
  const open: NarDirectory[] = []
  let complete = false
  try {
    let name = NO_NAME
    let node: NarNode | undefined = await openNar(source, options)
    for (;;) {
      if (node !== undefined) {
        yield eventOf(name, node, open.length)
        if (node.kind === 'directory') open.push(node.entries)
        else if (node.kind === 'file' && node.content.length > 0n) await node.content.skip()
      }
      const directory = open.at(-1)
      if (directory === undefined) break
      const entry = await directory.next()
      node = entry?.node
      if (entry !== null) name = entry.name
      else {
        open.pop()
        yield { type: 'directory-end', depth: open.length }
      }
    }
    if (wholeStream) await assertEnd(source)
    complete = true
  } finally {
    if (!complete) await source.cancel()
  }
}

/**
 * Walks over a stream that is one archive from its first byte to its last, checks all of it, and returns its size
 * in bytes. Errors are those of `openNar` and `assertEnd`.
 */
export async function readNarToEnd(input: ByteInput, options: NarReaderOptions = {}): Promise<bigint> {
  const source = ByteSource.from(input)
  const start = source.position
  for await (const event of narEvents(source, { ...options, wholeStream: true })) {
    if (event.type === 'file') await event.content.skip()
  }
  return source.position - start
}

function eventOf(name: Uint8Array, node: NarNode, depth: number): NarEvent {
  switch (node.kind) {
    case 'directory':
      return { type: 'directory-start', name, depth }
    case 'symlink':
      return { type: 'symlink', name, depth, target: node.target }
    case 'file': {
      const { executable, content } = node
      return { type: 'file', name, depth, executable, size: content.size, content }
    }
  }
}
