import { StorePathError } from './store-path-error.js'

/** The longest name of a store path, in bytes. */
export const MAX_NAME_LENGTH = 211

/**
 * Checks the name of a store path: 1 to 211 bytes of `a-z A-Z 0-9 + - . _ ? =`. A leading dot is permitted; `.`, `..`
 * and names that begin with `.-` or `..-` are not, as in current Nix (spec 09 section 9).
 *
 * @throws StorePathError `invalid-length`, `invalid-name`
 */
export function validateName(name: string): void {
  if (name.length === 0 || name.length > MAX_NAME_LENGTH) {
    throw new StorePathError('invalid-length', {
      path: name,
      expected: `a name of 1 to ${MAX_NAME_LENGTH} bytes`,
      actual: `${name.length}`,
    })
  }
  const position = name.search(/[^a-zA-Z0-9+\-._?=]/)
  if (position >= 0) {
    throw new StorePathError('invalid-name', {
      path: name,
      expected: 'a name of a-z A-Z 0-9 + - . _ ? =',
      actual: `${JSON.stringify(name[position])} at ${position}`,
      position,
    })
  }
  const reserved = /^\.{1,2}(-|$)/.exec(name)
  if (reserved !== null) {
    throw new StorePathError('invalid-name', {
      path: name,
      expected: 'a name other than . and .., also before a dash',
      actual: JSON.stringify(reserved[0]),
      position: 0,
    })
  }
}
