import { StorePath } from '@neve/nix-compat'
import { openLocalStore } from '@neve/store-pathinfo'

export const DAY = 86_400_000

/** Has a store say that store paths were last used so many days ago. */
export async function setLastUse(store: string, path: string, daysAgo: number): Promise<void> {
  await using opened = await openLocalStore(store)
  const seconds = Buffer.alloc(4)
  seconds.writeUInt32LE(Math.floor((Date.now() - daysAgo * DAY) / 1000))
  const session = opened.engine.write()
  session.put('used', StorePath.parseFull(path).storePath.digest, seconds)
  await session.commit()
}

/** How many days ago a store path was last used, as its store says. */
export async function daysSinceUse(store: string, path: string): Promise<number> {
  await using opened = await openLocalStore(store, { readOnly: true })
  const last = opened.engine.uses.last(StorePath.parseFull(path).storePath.digest) ?? 0
  return Math.floor((Date.now() - last) / DAY)
}
