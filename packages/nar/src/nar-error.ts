import { WireError } from '@neve/nix-compat/wire'

/**
 * A failure of the archive format, of a limit, or of the contract (spec 09 sections 1, 5 and 6). `code` tells the
 * kind, `offset` the position in the archive in bytes, `expected` and `actual` what was asked for and found.
 * Errors of the underlying streams are not wrapped: they pass through as they are.
 */
export class NarError extends WireError {
  override name = 'NarError'
}
