import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { B3Digest } from '@neve/castore-model'
import type { LocalStore } from '@neve/store-pathinfo'

/** Flips a bit of stored content. */
export function damage(store: LocalStore, digest: B3Digest): void {
  const location = store.engine.locate(digest.bytes)!
  const name = `${String(location.segment).padStart(10, '0')}.seg`
  const file = openSync(join(store.engine.path, 'segments', name), 'r+')
  const byte = Buffer.alloc(1)
  const at = location.offset + 52 + (location.storedLength >> 1)
  readSync(file, byte, 0, 1, at)
  byte[0]! ^= 1
  writeSync(file, byte, 0, 1, at)
  closeSync(file)
}
