import { CastoreError } from '../errors.js'
import type { GetObjectOptions, ObjectRange } from './object-store.js'

/** The longest key in bytes: what S3, GCS and Azure have in common. */
export const MAX_KEY_LENGTH = 1024

const KEY = /^[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*$/
const PREFIX = /^(?:[A-Za-z0-9._-]+\/)*[A-Za-z0-9._-]*$/
const DOTS = /(?:^|\/)\.\.?(?:\/|$)/

export function isKey(key: string): boolean {
  return KEY.test(key) && !DOTS.test(key) && key.length <= MAX_KEY_LENGTH
}

/** @throws CastoreError `invalid-input` for what is no key of an object store */
export function assertKey(key: string): void {
  if (isKey(key)) return
  throw new CastoreError(
    'invalid-input',
    `invalid object key ${quoted(key)}: expected components of A-Z a-z 0-9 . _ - joined by /, at most ${MAX_KEY_LENGTH} characters`,
  )
}

/** @throws CastoreError `invalid-input` for what no key can begin with */
export function assertPrefix(prefix: string): void {
  const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1)
  if (PREFIX.test(prefix) && !DOTS.test(folder.slice(0, -1)) && prefix.length <= MAX_KEY_LENGTH) return
  throw new CastoreError(
    'invalid-input',
    `invalid object prefix ${quoted(prefix)}: expected the beginning of a key`,
  )
}

/** @throws CastoreError `invalid-input` for a range or a limit that is none */
export function assertGetOptions({ range, maxSize }: GetObjectOptions): void {
  if (range !== undefined) {
    assertLength('offset', range.offset)
    assertLength('length', range.length)
  }
  if (maxSize !== undefined) assertLength('maxSize', maxSize)
}

/** How many bytes of an object of that size a range stands for. */
export function rangeLength(range: ObjectRange | undefined, size: number): number {
  return range === undefined ? size : Math.max(0, Math.min(range.length, size - range.offset))
}

/** @throws CastoreError `too-large` */
export function assertMaxSize(store: string, key: string, size: number, maxSize: number | undefined): void {
  if (maxSize === undefined || size <= maxSize) return
  throw new CastoreError(
    'too-large',
    `object ${key} has ${size} bytes to read, expected at most ${maxSize} (${store})`,
  )
}

function assertLength(what: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return
  throw new CastoreError('invalid-input', `invalid ${what}: expected a non-negative integer, got ${value}`)
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text)
}
