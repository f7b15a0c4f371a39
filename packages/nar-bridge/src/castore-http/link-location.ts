import type { PathComponent } from '@neve/castore-model'
import { encodeName } from '../url-names.js'

/**
 * Where a link in a site leads, as a path from its root: absolute targets from there, others from the link's directory.
 * Empty pieces, `.` and `..` are resolved by their text, and nothing is above the root. Slashes do not repeat, so that
 * no browser takes what follows for another host.
 *
 * @param folder the directory that the link is in
 * @returns undefined for a target that says no more than `.`
 */
export function linkLocation(target: Uint8Array, folder: readonly PathComponent[]): string | undefined {
  const text = Buffer.from(target).toString('latin1')
  const isAbsolute = text.startsWith('/')
  const own = cleaned(text.split('/'))
  if (!isAbsolute && own.length === 0) return undefined
  const before = isAbsolute ? [] : folder.map(({ bytes }) => Buffer.from(bytes).toString('latin1'))
  const names = cleaned([...before, ...own]).filter((name) => name !== '..')
  return `/${names.map((name) => encodeName(Buffer.from(name, 'latin1'))).join('/')}`
}

/** Leaves `..` only at the front, where there is nothing to go back from. */
function cleaned(parts: readonly string[]): readonly string[] {
  const names: string[] = []
  for (const part of parts) {
    if (part === '' || part === '.') continue
    const last = names.at(-1)
    if (part === '..' && last !== undefined && last !== '..') names.pop()
    else names.push(part)
  }
  return names
}
