import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { EmbeddedStore } from '@neve/embedded-store'
import { expect, it } from 'vitest'
import { temporaryFolder } from './support.js'

/** What glibc has in a mutex that is shared between processes and survives its holder. */
const ROBUST_AND_SHARED = 0x90

/** How many mutexes in LMDB's lock file can be used; a destroyed one has another kind. */
function usableMutexes(store: string): number {
  const file = readFileSync(join(store, 'tables', 'lock.mdb'))
  let count = 0
  for (let at = 0; at < 256; at += 4) if (file.readUInt32LE(at) === ROBUST_AND_SHARED) count++
  return count
}

it.skipIf(process.platform !== 'linux')(
  'closing a store leaves the mutexes of LMDB to whoever opens it at that moment',
  async () => {
    const folder = join(temporaryFolder(), 'store')
    const store = await EmbeddedStore.open(folder)
    const another = await EmbeddedStore.open(folder)
    expect(usableMutexes(folder)).toBe(3)
    await store.close()
    expect(usableMutexes(folder)).toBe(3)
    await another.close()
    expect(usableMutexes(folder)).toBe(3)
    await using again = await EmbeddedStore.open(folder)
    const session = again.write()
    session.put('roots', new Uint8Array(32), Uint8Array.of(1))
    await session.commit()
    expect(again.count('roots')).toBe(1)
  },
)
