import { compareBytes, type DirectoryEntry } from '@neve/castore-model'

/** Where a name stands in the entries of a directory, which are in bytewise order; -1 where it does not. */
export function findEntry(entries: readonly DirectoryEntry[], name: Uint8Array): number {
  let low = 0
  let high = entries.length - 1
  while (low <= high) {
    const middle = (low + high) >>> 1
    const order = compareBytes(entries[middle]!.name.bytes, name)
    if (order === 0) return middle
    if (order < 0) low = middle + 1
    else high = middle - 1
  }
  return -1
}
