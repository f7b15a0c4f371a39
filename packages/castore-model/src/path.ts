import { equalBytes, latin1, ownBytes } from './bytes.js'
import { PathComponentError, PathError } from './errors.js'
import { escapeBytes } from './escape.js'
import { PathComponent } from './path-component.js'

const DOT = 0x2e
const SLASH = 0x2f

/** Runs `each` over the pieces between slashes; pieces are views into `bytes`. */
function forEachPiece(bytes: Uint8Array, each: (piece: Uint8Array, index: number) => void): void {
  let start = 0
  for (let index = 0; ; index++) {
    const slash = bytes.indexOf(SLASH, start)
    each(bytes.subarray(start, slash === -1 ? bytes.length : slash), index)
    if (slash === -1) return
    start = slash + 1
  }
}

function componentAt(path: Uint8Array, piece: Uint8Array, index: number): PathComponent {
  try {
    return PathComponent.adopt(piece)
  } catch (error) {
    if (error instanceof PathComponentError) throw new PathError('InvalidComponent', path, index, error)
    throw error
  }
}

function isDots(piece: Uint8Array, count: 1 | 2): boolean {
  return piece.length === count && piece[0] === DOT && piece[count - 1] === DOT
}

export interface FromHostPathOptions {
  /**
   * What to do with `..`: false refuses it; true removes it with the component before it. That is purely lexical and can point
   * elsewhere than the host would when symlinks are involved (spec 01, weakness 15).
   */
  readonly canonicalizeDotdot: boolean
}

/** A relative path of validated names, empty for the root; immutable (spec 01 section 5). */
export class Path {
  /** The path of zero components. */
  static readonly ROOT: Path = new Path([])

  readonly components: readonly PathComponent[]
  #bytes: Uint8Array | undefined

  private constructor(components: readonly PathComponent[], bytes?: Uint8Array) {
    this.components = components
    this.#bytes = bytes
  }

  /**
   * Reads names joined by single slashes; empty input is the root. Nothing is normalised: leading, trailing and doubled slashes,
   * `.` and `..` throw `PathError`. Bytes are copied.
   */
  static parse(path: Uint8Array | string): Path {
    const bytes = ownBytes(path)
    if (bytes.length === 0) return Path.ROOT
    const components: PathComponent[] = []
    forEachPiece(bytes, (piece, index) => {
      components.push(componentAt(bytes, piece, index))
    })
    return new Path(components, bytes)
  }

  /** The path of these names, in order. */
  static of(components: Iterable<PathComponent>): Path {
    const list = [...components]
    return list.length === 0 ? Path.ROOT : new Path(list)
  }

  /**
   * Reads a relative host path (spec 01 section 5.2): empty pieces and `.` are dropped, `..` is refused or resolved lexically,
   * and a leading slash is refused. Only `/` separates, on every platform. Throws `PathError`. Bytes are copied.
   */
  static fromHostPath(hostPath: Uint8Array | string, options: FromHostPathOptions): Path {
    const bytes = ownBytes(hostPath)
    if (bytes[0] === SLASH) throw new PathError('Absolute', bytes, 0)
    const components: PathComponent[] = []
    forEachPiece(bytes, (piece, index) => {
      if (piece.length === 0 || isDots(piece, 1)) return
      if (!isDots(piece, 2)) {
        components.push(componentAt(bytes, piece, index))
        return
      }
      if (!options.canonicalizeDotdot) throw new PathError('DotDot', bytes, index)
      if (components.pop() === undefined) throw new PathError('AboveRoot', bytes, index)
    })
    return Path.of(components)
  }

  /** The names joined by single slashes; empty for the root. Do not modify them. */
  get bytes(): Uint8Array {
    this.#bytes ??= this.#join()
    return this.#bytes
  }

  #join(): Uint8Array {
    let length = Math.max(0, this.components.length - 1)
    for (const component of this.components) length += component.bytes.length
    const out = new Uint8Array(length)
    let at = 0
    for (const component of this.components) {
      if (at > 0) out[at++] = SLASH
      out.set(component.bytes, at)
      at += component.bytes.length
    }
    return out
  }

  /** The last name; undefined for the root. */
  get fileName(): PathComponent | undefined {
    return this.components.at(-1)
  }

  /** Everything before the last name; undefined for the root. */
  get parent(): Path | undefined {
    return this.components.length === 0 ? undefined : Path.of(this.components.slice(0, -1))
  }

  /** A new path with one more name, which must be a single valid one: else `PathError`, with the index it would have had. */
  join(name: PathComponent | Uint8Array | string): Path {
    if (name instanceof PathComponent) return new Path([...this.components, name])
    const piece = ownBytes(name)
    return new Path([...this.components, componentAt(piece, piece, this.components.length)])
  }

  equals(other: Path): boolean {
    return this === other || equalBytes(this.bytes, other.bytes)
  }

  /** Text that equals another path's exactly when the paths are equal. For `Map` keys, not for people. */
  get key(): string {
    return latin1(this.bytes)
  }

  /** The path for people: escaped, safe to print, not meant to be parsed back. */
  toString(): string {
    return escapeBytes(this.bytes)
  }
}
