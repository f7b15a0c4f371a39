import type { RequestHead } from './exchange.js'
import { HttpError } from './http-error.js'

/** Who may do what: `AccessTokens` of `@neve/castore-services/grpc/server` is one. */
export interface TokenSource {
  /**
   * @param header `Bearer TOKEN`, or undefined
   * @returns what the token is good for: `write` reads, too; undefined for none that is known
   */
  accessOf(header: string | undefined): 'read' | 'write' | undefined
}

/** Longer headers hold no token. */
const MAX_LENGTH = 2048

/** Options of {@link checkAccess}. */
export interface AccessRules {
  /** Let those read who have no token; a wrong one is refused all the same. Default: false. */
  readonly publicRead?: boolean | undefined
}

/**
 * Lets a request pass, or not. The token comes as `Bearer`, or as the password of `Basic`, which is what Nix sends from
 * its netrc file; the user's name says nothing.
 *
 * @throws HttpError 401, 403
 */
export function checkAccess(
  request: RequestHead,
  needed: 'read' | 'write',
  tokens: TokenSource,
  { publicRead = false }: AccessRules = {},
): void {
  const header = request.header('authorization')
  if (publicRead && needed === 'read' && header === undefined) return
  const access = tokens.accessOf(bearer(header))
  if (access === undefined) {
    throw new HttpError(401, 'expected a token that is known', {
      'www-authenticate': 'Basic realm="nix-cache", charset="UTF-8"',
    })
  }
  if (needed === 'write' && access !== 'write') throw new HttpError(403, 'the token is for reading only')
}

function bearer(header: string | undefined): string | undefined {
  if (header === undefined || header.length > MAX_LENGTH) return undefined
  const basic = /^basic +([A-Za-z0-9+/]+=*) *$/i.exec(header)?.[1]
  if (basic === undefined) return header
  const text = Buffer.from(basic, 'base64').toString()
  const colon = text.indexOf(':')
  return colon < 0 ? undefined : `Bearer ${text.slice(colon + 1)}`
}
