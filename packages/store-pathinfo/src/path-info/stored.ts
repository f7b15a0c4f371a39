import { compareBytes } from '@neve/castore-model'
import { StoreError } from '../errors.js'
import type { PathInfo } from '../path-info.js'
import { decodePathInfo } from '../path-info-codec.js'

/**
 * A path info as a backend has it.
 *
 * @throws StoreError `data-loss` when the bytes are none, or one of another digest
 */
export function decodeStored(backend: string, digest: Uint8Array, bytes: Uint8Array): PathInfo {
  const hex = Buffer.from(digest).toString('hex')
  let info: PathInfo
  try {
    info = decodePathInfo(bytes)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    const detail = `the path info that is stored under ${hex} is damaged: ${reason} (${backend})`
    throw new StoreError('data-loss', detail, undefined, { cause: error })
  }
  if (compareBytes(info.storePath.digest, digest) === 0) return info
  throw new StoreError(
    'data-loss',
    `the path info that is stored under ${hex} is that of ${info.storePath} (${backend})`,
  )
}
