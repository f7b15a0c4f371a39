import { type Directory, escapeBytes, type Node } from '@neve/castore-model'
import type { CallOptions } from '../call-options.js'
import type { DirectoryService } from '../directory-service.js'
import { ExportPathError, readError } from './errors.js'

/** One thing to make, and where. */
export interface ExportStep {
  readonly path: Buffer
  readonly node: Node
}

/**
 * A tree in the order of a NAR: depth first, folders before what is in them. Memory for the way down only.
 *
 * @throws ExportPathError `not-found`, `data-loss`, `read`
 */
export async function* exportSteps(
  directories: Pick<DirectoryService, 'get'>,
  node: Node,
  root: Buffer,
  options: CallOptions,
): AsyncGenerator<ExportStep, void, undefined> {
  const open: { readonly path: Buffer; readonly entries: Iterator<Directory['entries'][number]> }[] = []
  let step: ExportStep | undefined = { path: root, node }
  while (step !== undefined) {
    const { path, node } = step
    yield step
    if (node.kind === 'directory') {
      const directory = await lookUp(directories, step.path, node.digest, options)
      open.push({ path, entries: directory.entries.values() })
    }
    step = undefined
    while (step === undefined && open.length > 0) {
      const folder = open.at(-1)!
      const entry = folder.entries.next()
      if (entry.done === true) open.pop()
      else step = { path: childPath(folder.path, entry.value.name.bytes), node: entry.value.node }
    }
  }
}

async function lookUp(
  directories: Pick<DirectoryService, 'get'>,
  path: Buffer,
  digest: Parameters<DirectoryService['get']>[0],
  options: CallOptions,
): Promise<Directory> {
  let directory: Directory | undefined
  try {
    directory = await directories.get(digest, { signal: options.signal })
  } catch (error) {
    if (options.signal?.aborted === true) throw options.signal.reason
    throw readError(path, error)
  }
  if (directory !== undefined) return directory
  throw new ExportPathError(
    'not-found',
    path,
    `cannot write ${escapeBytes(path)}: directory ${digest} is not in the store`,
  )
}

/** `folder/name`. */
function childPath(folder: Buffer, name: Uint8Array): Buffer {
  const path = Buffer.allocUnsafe(folder.length + 1 + name.length)
  path.set(folder)
  path[folder.length] = 0x2f
  path.set(name, folder.length + 1)
  return path
}
