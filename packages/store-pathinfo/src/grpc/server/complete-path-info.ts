import type { CallOptions } from '@neve/castore-services'
import { encodeNixbase32, type StorePath } from '@neve/nix-compat'
import { StoreError } from '../../errors.js'
import type { PathInfo } from '../../path-info.js'
import { pathInfoOfMessage, readRoot } from '../../path-info-codec.js'
import type { PathInfoMessage } from '../../path-info-message.js'
import type { NarCalculationService, PathInfoService } from '../../path-info-service.js'

/**
 * The path info of a message that may lack its narinfo, as older clients send it (DESIGN decision 12): then the NAR is
 * measured, and the names of references are those that are stored.
 *
 * @throws InvalidPathInfoError; StoreError `contents-missing` when contents or a reference are not stored
 */
export async function completePathInfo(
  message: PathInfoMessage,
  pathInfos: Pick<PathInfoService, 'get'>,
  narCalculation: NarCalculationService | undefined,
  options: CallOptions,
): Promise<PathInfo> {
  if (narCalculation === undefined || message.narInfo !== undefined) {
    return pathInfoOfMessage(message)
  }
  const { storePath, node } = readRoot(message)
  const references: StorePath[] = []
  for (const digest of message.references) {
    const known = digest.length === 20 ? await pathInfos.get(digest, options) : undefined
    if (known === undefined) {
      const hash = digest.length === 20 ? encodeNixbase32(digest) : `one of ${digest.length} bytes`
      throw missing(storePath, `it has no narinfo, and its reference ${hash} is not stored`)
    }
    references.push(known.storePath)
  }
  try {
    const measure = await narCalculation.calculateNar(node, options)
    return { storePath, node, references, ...measure, signatures: [], deriver: undefined, ca: undefined }
  } catch (error) {
    const absent =
      error instanceof StoreError && (error.code === 'directory-not-found' || error.code === 'blob-not-found')
    if (!absent) throw error
    throw missing(storePath, `it has no narinfo, and not all of it is stored: ${error.message}`, error)
  }
}

function missing(storePath: StorePath, detail: string, cause?: unknown): StoreError {
  return new StoreError('contents-missing', `${storePath}: ${detail}`, undefined, { cause })
}
