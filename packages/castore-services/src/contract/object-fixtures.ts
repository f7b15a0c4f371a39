import type { CallOptions } from '../call-options.js'
import type { ObjectMeta, ObjectStore } from '../object-store/object-store.js'

/** Keys as the blob and directory backends make them. */
export const KEY = 'blobs/b3/41f8/41f8394111eb713a22165c46c90ab8f0fd9399c92028fd6d288944b23ff5bf76'
export const OTHER_KEY = 'chunks/b3/41f8/41f8394111eb713a22165c46c90ab8f0fd9399c92028fd6d288944b23ff5bf76'

export const CONTENT = bytes('Hello World')

/** What no store may take for a key. */
export const INVALID_KEYS: readonly string[] = [
  '',
  '/',
  '/a',
  'a/',
  'a//b',
  '.',
  '..',
  '../a',
  'a/..',
  'a/../b',
  'a/./b',
  'a b',
  'a\\b',
  'a%2fb',
  'a%b',
  'a?b',
  'a#b',
  'a:b',
  'a+b',
  'ä',
  'a\0b',
  'a\n',
  '~a',
  'a'.repeat(1025),
]

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** What a store lists, by key. Fails for a key that comes twice. */
export async function listed(
  store: ObjectStore,
  prefix: string,
  options?: CallOptions,
): Promise<Record<string, number>> {
  const found = new Map<string, ObjectMeta>()
  for await (const meta of store.list(prefix, options)) {
    if (found.has(meta.key)) throw new Error(`listed twice: ${meta.key}`)
    found.set(meta.key, meta)
  }
  return Object.fromEntries([...found.values()].map(({ key, size }) => [key, size] as const).sort())
}
