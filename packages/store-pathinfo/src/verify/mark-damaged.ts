import type { EmbeddedStore } from '@neve/embedded-store'
import type { Fault } from './damage.js'

/**
 * Takes what is damaged out of the tables of an embedded store: then it is missing, which readers are told by name, and who
 * has it stores it anew instead of passing over what seems to be there.
 *
 * @returns whether there was anything to take out
 */
export async function markDamaged(engine: EmbeddedStore, { kind, digest }: Fault): Promise<boolean> {
  if (digest === undefined) return false
  const key = digest.bytes
  if (kind === 'blob-damaged' || kind === 'chunk-damaged') {
    const location = engine.locate(key)
    return location !== undefined && (await engine.forgetContent(key, location))
  }
  const table =
    kind === 'directory-damaged' ? 'directories' : kind === 'chunk-list-damaged' ? 'blobs' : undefined
  if (table === undefined || !engine.has(table, key)) return false
  const session = engine.write()
  session.remove(table, key)
  await session.commit()
  return true
}
