import type { EmbeddedStore, WriteSession } from '@neve/embedded-store'

const LENGTH = 4

/** Records that a path info is used now, to the second. */
export function recordUse(session: WriteSession, digest: Uint8Array, time = Date.now()): void {
  const value = Buffer.alloc(LENGTH)
  value.writeUInt32LE(Math.floor(time / 1000) % 2 ** 32)
  session.put('used', digest, value)
}

/** When a path info was last used, in milliseconds since 1970; undefined where nobody knows. */
export function lastUse(engine: EmbeddedStore, digest: Uint8Array): number | undefined {
  const value = engine.get('used', digest)
  if (value?.length !== LENGTH) return undefined
  return Buffer.from(value).readUInt32LE(0) * 1000
}
