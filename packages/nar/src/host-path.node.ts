import { Buffer } from 'node:buffer'

/** A path of the host as bytes of its own; text is taken as UTF-8. */
export function pathBytes(path: string | Uint8Array): Buffer {
  return typeof path === 'string' ? Buffer.from(path) : Buffer.from(path)
}

/** `directory` + "/" + `name`. */
export function joinPath(directory: Uint8Array, name: Uint8Array): Buffer {
  const joined = Buffer.allocUnsafe(directory.length + 1 + name.length)
  joined.set(directory)
  joined[directory.length] = 0x2f
  joined.set(name, directory.length + 1)
  return joined
}

/** A path as text for people; bytes that are not UTF-8 are shown as replacement characters. */
export function showPath(path: Uint8Array): string {
  return new TextDecoder().decode(path)
}
