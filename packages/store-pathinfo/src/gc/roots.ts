import { B3Digest, blake3 } from '@neve/castore-model'
import type { EmbeddedStore } from '@neve/embedded-store'
import { StorePath } from '@neve/nix-compat'
import { StoreError } from '../errors.js'
import { linkedStorePaths } from './root-folder.js'

/** What the garbage collector keeps, with everything that it refers to. */
export type Root =
  /** A store path, with what it references; or a directory or blob by its digest. */
  | { readonly name: string; readonly target: StorePath | B3Digest }
  /** All store paths that symlinks in a folder lead to, looked up anew each time. */
  | { readonly name: string; readonly folder: string }

const TABLE = 'roots'
const MAX_NAME = 4096

/**
 * Sets a root; one of the same name is replaced.
 *
 * @throws StoreError `invalid-name`, `not-found` when the target is not in the store, or is being removed from it
 */
export async function setRoot(engine: EmbeddedStore, root: Root): Promise<void> {
  const { name } = root
  if (name === '' || Buffer.byteLength(name) > MAX_NAME) {
    throw new StoreError('invalid-name', `the name of a root must have 1 to ${MAX_NAME} bytes`)
  }
  if ('folder' in root) await linkedStorePaths(root.folder)
  else if (!isKept(engine, root.target)) {
    throw new StoreError('not-found', `${targetText(root.target)} is not in the store`)
  }
  const value = 'folder' in root ? { name, folder: root.folder } : { name, target: targetText(root.target) }
  const session = engine.write()
  session.put(TABLE, keyOf(name), Buffer.from(JSON.stringify(value)))
  await session.commit()
}

/** @throws StoreError `not-found` */
export async function removeRoot(engine: EmbeddedStore, name: string): Promise<void> {
  if (!engine.has(TABLE, keyOf(name))) throw new StoreError('not-found', `there is no root ${name}`)
  const session = engine.write()
  session.remove(TABLE, keyOf(name))
  await session.commit()
}

/** All roots, by their names. */
export function listRoots(engine: EmbeddedStore): Root[] {
  const roots: Root[] = []
  for (const [, value] of engine.entries(TABLE)) roots.push(decodeRoot(value))
  return roots.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** What roots lead to. */
export interface RootTargets {
  /** Digests of store paths, whether they are in the store or not. */
  readonly paths: readonly Uint8Array[]
  /** Directories or blobs. */
  readonly digests: readonly B3Digest[]
}

/** @throws StoreError `not-found` when a folder cannot be read: what it leads to would be taken for garbage */
export async function rootTargets(roots: readonly Root[]): Promise<RootTargets> {
  const paths: Uint8Array[] = []
  const digests: B3Digest[] = []
  for (const root of roots) {
    if ('folder' in root) paths.push(...(await linkedStorePaths(root.folder)).map(({ digest }) => digest))
    else if (root.target instanceof StorePath) paths.push(root.target.digest)
    else digests.push(root.target)
  }
  return { paths, digests }
}

export function targetText(target: StorePath | B3Digest): string {
  return target instanceof StorePath ? target.toAbsolute() : target.toSri()
}

function keyOf(name: string): Uint8Array {
  return blake3.digest(Buffer.from(name))
}

function isKept(engine: EmbeddedStore, target: StorePath | B3Digest): boolean {
  if (target instanceof StorePath) return engine.keeps('pathInfos', target.digest)
  return (['directories', 'blobs', 'content'] as const).some((what) => engine.keeps(what, target.bytes))
}

function decodeRoot(value: Uint8Array): Root {
  const { name, target, folder } = JSON.parse(Buffer.from(value).toString()) as Record<string, string>
  if (folder !== undefined) return { name: name!, folder }
  const isPath = target!.startsWith('/')
  return { name: name!, target: isPath ? StorePath.parseFull(target!).storePath : B3Digest.parse(target!) }
}
