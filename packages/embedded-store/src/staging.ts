/** Room in one piece of memory: the largest chunk that is cut by default fits, with its record's header. */
const ROOM = 1024 * 1024 + 16 * 1024
/** The most pieces of memory to keep for later. */
const KEPT = 8

/** A run of records that is to be written. */
export interface StagedRun {
  readonly bytes: Uint8Array
  /** Says that the bytes are not needed any more. */
  release(): void
}

/**
 * Memory that records are made in before they are written. It is used again afterwards: new memory for everything that is
 * written would keep the collector busy.
 */
export class Staging {
  readonly #free: Uint8Array[] = []
  #piece = new Piece(new Uint8Array(0))

  /** How many bytes of records wait for {@link take}. */
  get length(): number {
    return this.#piece.end - this.#piece.start
  }

  /** Whether a record that may need so many bytes fits behind those that wait. */
  fits(bound: number): boolean {
    return this.#piece.end + bound <= this.#piece.bytes.length
  }

  /** Makes room for a record. Nothing may be waiting. */
  makeRoom(bound: number): void {
    this.#leave()
    const bytes = bound > ROOM ? undefined : this.#free.pop()
    this.#piece = new Piece(bytes ?? Buffer.allocUnsafeSlow(Math.max(ROOM, bound)))
  }

  /**
   * Has a record written where there is room for it.
   *
   * @returns its length
   */
  add(pack: (out: Uint8Array, at: number) => number): number {
    const length = pack(this.#piece.bytes, this.#piece.end)
    this.#piece.end += length
    return length
  }

  /** The records that wait; none do from now on. */
  take(): StagedRun {
    const piece = this.#piece
    const bytes = piece.bytes.subarray(piece.start, piece.end)
    piece.start = piece.end
    piece.writes += 1
    const release = (): void => {
      piece.writes -= 1
      this.#recycle(piece)
    }
    return { bytes, release }
  }

  /** Forgets the records that wait. */
  clear(): void {
    this.#piece = new Piece(new Uint8Array(0))
  }

  #leave(): void {
    this.#piece.left = true
    this.#recycle(this.#piece)
  }

  #recycle({ bytes, writes, left }: Piece): void {
    if (left && writes === 0 && bytes.length === ROOM && this.#free.length < KEPT) this.#free.push(bytes)
  }
}

class Piece {
  /** Where the records begin that wait. */
  start = 0
  end = 0
  /** How many runs of it are being written. */
  writes = 0
  /** Whether nothing is added any more. */
  left = false

  constructor(readonly bytes: Uint8Array) {}
}
