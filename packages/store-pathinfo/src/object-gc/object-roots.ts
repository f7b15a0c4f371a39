import { B3Digest, blake3 } from '@neve/castore-model'
import type { CallOptions } from '@neve/castore-services'
import { ObjectMark } from '@neve/castore-services/object-gc'
import { ObjectHolds, type ObjectStore } from '@neve/castore-services/object-store'
import { StorePath } from '@neve/nix-compat'
import { StoreError } from '../errors.js'
import { ObjectStorePathInfoService } from '../object-store.js'

/** What garbage collection keeps in an object store: a store path, or a directory or blob by its digest. */
export interface ObjectRoot {
  readonly name: string
  readonly target: StorePath | B3Digest
}

const FOLDER = 'neve/roots'
const MAX_NAME = 4096
const MAX_SIZE = 65_536

/**
 * Sets a root; one of the same name is replaced. What it leads to stays from now on.
 *
 * @throws StoreError `invalid-name`, `not-found` when the target is not in the store
 */
export async function setObjectRoot(
  store: ObjectStore,
  { name, target }: ObjectRoot,
  options: CallOptions = {},
): Promise<void> {
  if (name === '' || Buffer.byteLength(name) > MAX_NAME) {
    throw new StoreError('invalid-name', `the name of a root must have 1 to ${MAX_NAME} bytes`)
  }
  const text = targetText(target)
  // Who looks for it keeps it for half of the grace age: any later collection finds the root.
  if (!(await isThere(store, target, options))) {
    throw new StoreError('not-found', `${text} is not in the store`)
  }
  await store.put(keyOf(name), Buffer.from(JSON.stringify({ name, target: text })), options)
}

/** @throws StoreError `not-found` */
export async function removeObjectRoot(
  store: ObjectStore,
  name: string,
  options: CallOptions = {},
): Promise<void> {
  const key = keyOf(name)
  if ((await store.head(key, options)) === undefined) {
    throw new StoreError('not-found', `there is no root ${name}`)
  }
  await store.delete(key, options)
}

/**
 * All roots, by their names.
 *
 * @throws StoreError `data-loss` for one that cannot be read: what it leads to would be taken for garbage
 */
export async function listObjectRoots(store: ObjectStore, options: CallOptions = {}): Promise<ObjectRoot[]> {
  const roots: ObjectRoot[] = []
  for await (const { key } of store.list(`${FOLDER}/`, options)) {
    const stored = await store.get(key, { ...options, maxSize: MAX_SIZE })
    // It may have been removed meanwhile.
    if (stored !== undefined) roots.push(decodeRoot(store, key, stored))
  }
  return roots.sort((a, b) => (a.name < b.name ? -1 : 1))
}

async function isThere(
  store: ObjectStore,
  target: StorePath | B3Digest,
  options: CallOptions,
): Promise<boolean> {
  if (target instanceof StorePath) return new ObjectStorePathInfoService(store).has(target.digest, options)
  const holds = new ObjectHolds(store)
  for (const key of ObjectMark.keysOf(target)) {
    if ((await store.head(key, options)) !== undefined && (await holds.hold(key, options))) return true
  }
  return false
}

function targetText(target: StorePath | B3Digest): string {
  return target instanceof StorePath ? target.toAbsolute() : target.toSri()
}

function keyOf(name: string): string {
  return `${FOLDER}/${Buffer.from(blake3.digest(Buffer.from(name))).toString('hex')}`
}

function decodeRoot(store: ObjectStore, key: string, stored: Uint8Array): ObjectRoot {
  try {
    const said: unknown = JSON.parse(Buffer.from(stored).toString())
    if (typeof said !== 'object' || said === null || !('name' in said) || !('target' in said)) {
      throw new Error('expected name and target')
    }
    const { name, target } = said
    if (typeof name !== 'string' || typeof target !== 'string') throw new Error('expected text')
    const isPath = target.startsWith('/')
    return { name, target: isPath ? StorePath.parseFull(target).storePath : B3Digest.parse(target) }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    const detail = `the root in object ${key} cannot be read: ${reason} (${store.name})`
    throw new StoreError('data-loss', detail, undefined, { cause: error })
  }
}
