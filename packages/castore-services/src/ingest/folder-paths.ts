const SLASH = 0x2f
const PATH_ROOM = 4096 + 256

/** The files of one folder, as a task names them. */
export class FolderPaths {
  /** The folder's path with a slash at its end; empty where the names are whole paths. */
  readonly path: Buffer
  readonly names: readonly Buffer[]
  readonly #room: Buffer

  constructor(path: Buffer, names: readonly Buffer[]) {
    const slash = path.length > 0 && path[path.length - 1] !== SLASH
    this.path = slash ? Buffer.concat([path, Buffer.from('/')]) : path
    this.names = names
    this.#room = Buffer.alloc(Math.max(PATH_ROOM, this.path.length + 256))
    this.#room.set(this.path)
  }

  /** A file's path, valid until the next call. */
  child(name: Buffer): Buffer {
    if (this.path.length === 0) return name
    this.#room.set(name, this.path.length)
    return this.#room.subarray(0, this.path.length + name.length)
  }
}

/** Takes the paths of a task apart: `directory NUL name NUL name NUL NUL directory NUL …`. */
export function* foldersOf(paths: Uint8Array): Iterable<FolderPaths> {
  const bytes = Buffer.from(paths.buffer, paths.byteOffset, paths.byteLength)
  for (let at = 0; at < bytes.length; ) {
    let end = bytes.indexOf(0, at)
    const path = bytes.subarray(at, end)
    at = end + 1
    const names: Buffer[] = []
    while (bytes[at] !== 0) {
      end = bytes.indexOf(0, at)
      names.push(bytes.subarray(at, end))
      at = end + 1
    }
    at++
    yield new FolderPaths(path, names)
  }
}
