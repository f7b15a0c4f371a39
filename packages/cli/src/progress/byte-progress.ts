import type { Context, GlobalOptions } from '../context.js'
import { startBar } from './bar.js'

/** What is written, and how much it will be if that is known. */
export interface ByteProgressInit {
  readonly what: string
  /** Bytes. */
  readonly total?: bigint | undefined
  /** Files, directories and links together. */
  readonly entries?: bigint | undefined
}

/** What an operation says of how far it has come. */
export interface ByteUpdate {
  readonly bytes: number
  readonly files?: number
  readonly directories?: number
  readonly symlinks?: number
}

/** A bar for something that is written out of the store. */
export async function startByteProgress(
  context: Context,
  options: GlobalOptions,
  { what, total, entries }: ByteProgressInit,
): Promise<{ update: (update: ByteUpdate) => void; stop: () => void }> {
  const bar = await startBar(context, options, what)
  bar.setTotals({
    bytes: total === undefined ? undefined : Number(total),
    entries: entries === undefined ? undefined : Number(entries),
  })
  return {
    update: ({ bytes, files = 0, directories = 0, symlinks = 0 }) =>
      bar.update(entries === undefined ? { bytes } : { bytes, entries: files + directories + symlinks }),
    stop: () => bar.stop(),
  }
}
