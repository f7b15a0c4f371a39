/** Longest name of an entry, in bytes (spec 09 section 4.4). */
export const MAX_NAME_LENGTH = 255
/** Longest target of a symlink, in bytes. */
export const MAX_TARGET_LENGTH = 4095
/** Nodes this deep and deeper are refused unless asked for otherwise; the root's depth is 0. As Nix does. */
export const DEFAULT_MAX_DEPTH = 64

/** Unsigned order of bytes; a prefix comes before what it begins. */
export function compareNames(left: Uint8Array, right: Uint8Array): number {
  const shared = Math.min(left.length, right.length)
  for (let index = 0; index < shared; index++) {
    const difference = left[index]! - right[index]!
    if (difference !== 0) return difference
  }
  return left.length - right.length
}

/** What is wrong with an entry's name, apart from its length being over the limit; undefined if nothing is. */
export function nameFault(name: Uint8Array): string | undefined {
  if (name.length === 0) return 'a name that is not empty'
  if (name[0] === 0x2e && (name.length === 1 || (name.length === 2 && name[1] === 0x2e))) {
    return 'a name other than "." and ".."'
  }
  for (let index = 0; index < name.length; index++) {
    const byte = name[index]
    if (byte === 0) return 'a name without NUL'
    if (byte === 0x2f) return 'a name without "/"'
  }
  return undefined
}

/** What is wrong with a symlink's target, apart from its length being over the limit; undefined if nothing is. */
export function targetFault(target: Uint8Array): string | undefined {
  if (target.length === 0) return 'a target that is not empty'
  return target.includes(0) ? 'a target without NUL' : undefined
}
