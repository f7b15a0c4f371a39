import { z } from 'zod'
import { CastoreError } from '../../errors.js'
import { decodePath, refuseParts } from '../address-parts.js'
import { ConfigError } from '../errors.js'
import type { ServiceType } from '../service-type.js'

const schema = z.strictObject({ is_temporary: z.boolean(), path: z.string().optional() })

/**
 * A database of the reference implementation. Its configurations and addresses are read, so that the message can say
 * what to write instead; building is refused (DESIGN decision 7).
 */
export function legacyDatabase(tag: 'sled' | 'redb'): ServiceType<never, z.infer<typeof schema>> {
  return {
    tag,
    schema,
    fromUrl(url) {
      refuseParts(url, ['host', 'query'])
      const path = decodePath(url)
      if (path === '/') throw new ConfigError('expected the path of a database, got the root folder')
      return path === '' ? { is_temporary: true } : { is_temporary: false, path }
    },
    build({ is_temporary: isTemporary, path }) {
      if (isTemporary && path !== undefined) throw refusal(tag, "'path' contradicts 'is_temporary = true'")
      if (!isTemporary && path === undefined) throw refusal(tag, "'is_temporary = false' needs 'path'")
      const detail = 'databases of the reference implementation cannot be opened'
      throw refusal(tag, detail, isTemporary ? ', or memory: for a temporary store' : '')
    },
  }
}

function refusal(tag: string, detail: string, more = ''): CastoreError {
  return new CastoreError('unsupported', `${tag}: ${detail}; write embedded:/path/to/folder${more}`)
}
