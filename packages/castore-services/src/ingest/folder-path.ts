const SLASH = 0x2f

/** The path of the folder that a walk is in, with a slash at its end; and those of its files. */
export class FolderPath {
  #room: Buffer
  #length: number

  /** @param path with a slash at its end; or the path of a file that is itself the root */
  constructor(path: Uint8Array) {
    this.#room = Buffer.alloc(path.length + 4096)
    this.#room.set(path)
    this.#length = path.length
  }

  enter(name: Uint8Array): void {
    // The root is where this begins.
    if (name.length === 0) return
    this.child(name)
    this.#length += name.length
    this.#room[this.#length++] = SLASH
  }

  leave(): void {
    this.#length = this.#room.lastIndexOf(SLASH, this.#length - 2) + 1
  }

  /** The folder: a view, good until the next call. */
  get path(): Buffer {
    return this.#room.subarray(0, this.#length)
  }

  /** A file's path: a view with a NUL behind it, good until the next call. */
  child(name: Uint8Array): Buffer {
    const length = this.#length + name.length
    if (length >= this.#room.length) {
      const larger = Buffer.alloc(2 * length)
      larger.set(this.#room.subarray(0, this.#length))
      this.#room = larger
    }
    this.#room.set(name, this.#length)
    this.#room[length] = 0
    return this.#room.subarray(0, length)
  }
}
