import type { Entry, Lister, Metadata, Operator } from 'opendal'
import { isKey } from './keys.js'
import type { ObjectMeta } from './object-store.js'

/** Makes a request, again where that may help. */
export type RunRequest = <T>(request: () => Promise<T>) => Promise<T>

/**
 * The objects of a store that lists keys in order, as S3, GCS and Azure do. After a failed page opendal calls the list
 * finished; so the page is asked for anew, from the last key on.
 */
export async function* listInOrder(
  operator: Operator,
  prefix: string,
  run: RunRequest,
): AsyncGenerator<ObjectMeta, void, undefined> {
  const canStartAfter = operator.capability().listWithStartAfter
  let lister: Lister | undefined
  let last: string | undefined
  for (;;) {
    const entry = await run(async () => {
      lister ??= await operator.lister(prefix, {
        recursive: true,
        ...(canStartAfter && last !== undefined ? { startAfter: last } : {}),
      })
      try {
        return await lister.next()
      } catch (error) {
        lister = undefined
        throw error
      }
    })
    if (entry === null) return
    const key = entry.path()
    const meta = entry.metadata()
    if (!meta.isFile() || !isKey(key) || !key.startsWith(prefix)) continue
    if (last !== undefined && key <= last) continue
    last = key
    yield objectMeta(key, meta)
  }
}

/**
 * The objects of a store that has folders, as WebDAV does: a request for each folder.
 *
 * @param list what one folder holds; nothing when it is not there
 */
export async function* listFolders(
  prefix: string,
  list: (folder: string) => Promise<readonly Entry[]>,
): AsyncGenerator<ObjectMeta, void, undefined> {
  const pending = [prefix.slice(0, prefix.lastIndexOf('/') + 1)]
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    const path = folder
    for (const entry of await list(path)) {
      const key = entry.path()
      const meta = entry.metadata()
      if (meta.isFile()) {
        if (isKey(key) && key.startsWith(prefix)) yield objectMeta(key, meta)
      } else if (key.length > path.length && key.startsWith(path) && isKey(key.slice(0, -1))) {
        if (key.startsWith(prefix) || prefix.startsWith(key)) pending.push(key)
      }
    }
  }
}

/** What opendal tells of an object, in our form. */
export function objectMeta(key: string, { contentLength, lastModified }: Metadata): ObjectMeta {
  const modified = lastModified === null ? Number.NaN : Date.parse(lastModified)
  return { key, size: Number(contentLength ?? 0n), modified: Number.isNaN(modified) ? undefined : modified }
}
