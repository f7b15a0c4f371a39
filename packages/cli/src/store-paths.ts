import { StorePath } from '@neve/nix-compat'
import { UsageError } from './messages.js'

/**
 * Store paths of the command line, absolute or bare.
 *
 * @throws UsageError
 */
export function parseStorePaths(texts: readonly string[]): StorePath[] {
  return texts.map((text) => {
    try {
      return text.startsWith('/') ? StorePath.parseAbsolute(text) : StorePath.parse(text)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new UsageError(`${text}: ${reason}; expected a store path, such as /nix/store/…-name`)
    }
  })
}
