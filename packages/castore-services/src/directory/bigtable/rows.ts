import { CastoreError } from '../../errors.js'
import type { CellChunk } from './messages.js'

/** One cell of a row, whole. */
export interface Cell {
  readonly family: string
  readonly qualifier: string
  readonly value: Uint8Array
}

/** A row that the server has given whole. */
export interface Row {
  readonly key: string
  readonly cells: readonly Cell[]
}

/** The largest cell that Bigtable keeps, in bytes. The emulator has no limit: we have. */
export const MAX_CELL_SIZE = 10 * 1024 * 1024

/**
 * Puts rows together from the pieces in which a server sends them.
 *
 * @throws CastoreError `storage` for pieces that make no sense, or make up more than a cell can have
 */
export async function* assembleRows(
  responses: AsyncIterable<readonly CellChunk[]>,
): AsyncGenerator<Row, void, undefined> {
  let row: OpenRow | undefined
  for await (const chunks of responses) {
    for (const chunk of chunks) {
      row ??= new OpenRow(chunk)
      if (chunk.resetRow) {
        row = undefined
        continue
      }
      row.add(chunk)
      if (!chunk.commitRow) continue
      yield row.commit()
      row = undefined
    }
  }
  if (row !== undefined) throw refusal(`row ${row.key} ended early`)
}

class OpenRow {
  readonly key: string
  readonly #cells: Cell[] = []
  #family: string | undefined
  #qualifier: string | undefined
  #pieces: Uint8Array[] = []
  #length = 0

  constructor({ rowKey, resetRow }: CellChunk) {
    if (rowKey.length === 0 && !resetRow) throw refusal('a row begins without its key')
    this.key = text(rowKey)
  }

  add({ rowKey, family, qualifier, value, valueSize, commitRow }: CellChunk): void {
    if (rowKey.length > 0 && text(rowKey) !== this.key) {
      throw refusal(`row ${text(rowKey)} begins within row ${this.key}`)
    }
    this.#family = family ?? this.#family
    this.#qualifier = qualifier === undefined ? this.#qualifier : text(qualifier)
    this.#length += value.length
    if (this.#length > MAX_CELL_SIZE || valueSize > MAX_CELL_SIZE) {
      throw refusal(`a cell of row ${this.key} has more than ${MAX_CELL_SIZE} bytes`)
    }
    this.#pieces.push(value)
    if (valueSize > 0) {
      if (commitRow) throw refusal(`a cell of row ${this.key} ended early`)
      return
    }
    if (this.#family === undefined || this.#qualifier === undefined) {
      throw refusal(`a cell of row ${this.key} has no column`)
    }
    const [only] = this.#pieces
    const whole = this.#pieces.length === 1 && only !== undefined ? only : Buffer.concat(this.#pieces)
    this.#cells.push({ family: this.#family, qualifier: this.#qualifier, value: new Uint8Array(whole) })
    this.#pieces = []
    this.#length = 0
  }

  commit(): Row {
    return { key: this.key, cells: this.#cells }
  }
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

function refusal(detail: string): CastoreError {
  return new CastoreError('storage', `unable to read rows: ${detail}`)
}
