/** The input ends within the block: there may be more of it. */
export class Bzip2InputError extends Error {
  override readonly name = 'Bzip2InputError'
  readonly code = 'input'
}

/** The input is no bzip2 data. */
export class Bzip2DamageError extends Error {
  override readonly name = 'Bzip2DamageError'
  readonly code = 'damage'

  constructor(
    message: string,
    readonly unsupported = false,
  ) {
    super(message)
  }
}

const BLOCK_MAGIC = [0x314159, 0x265359] as const
const END_MAGIC = [0x177245, 0x385090] as const
const MAX_CODE_LENGTH = 20
const GROUP = 50
const MAX_SELECTORS = 18_002
const RUN_A = 0
const RUN_B = 1
/** Codes up to this length are found in one step. */
const FAST_BITS = 10
const OUT = 128 * 1024

const CRC_TABLE = new Uint32Array(256)
for (let i = 0; i < 256; i++) {
  let crc = i << 24
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000_0000 ? (crc << 1) ^ 0x04c1_1db7 : crc << 1
  CRC_TABLE[i] = crc >>> 0
}

/** A Huffman code, in the canonical form that lengths define. */
interface CodeTable {
  /** For the next bits: symbol and length of the code that they start with; 0 for none so short. */
  readonly fast: Uint16Array
  /** By length: the largest code of that length, -1 for none. */
  readonly limit: Int32Array
  /** By length: what to take off a code to get its place in `symbols`. */
  readonly base: Int32Array
  readonly symbols: Uint16Array
  readonly longest: number
}

/** Decodes the blocks of one bzip2 stream, one after the other. */
export class Bzip2Block {
  readonly #capacity: number
  /** The last column of the sorted block; then, in the upper bits, where each byte's successor stands. */
  readonly #chain: Uint32Array
  #length = 0
  #first = 0
  /** Of the block's content, as the block says. */
  crc = 0

  #bytes: Uint8Array = new Uint8Array(0)
  #at = 0
  #buffer = 0
  #count = 0

  /** @param level 1 to 9: a block has up to so many times 100,000 bytes before the last step of decoding */
  constructor(level: number) {
    this.#capacity = level * 100_000
    this.#chain = new Uint32Array(this.#capacity)
  }

  /**
   * Reads what comes next: a block, whose content {@link Bzip2Block.content} then gives, or the end of the stream.
   *
   * @param bit how many bits of the first byte to pass over
   * @returns how many bits it took; at the end of the stream, the checksum of all blocks
   * @throws Bzip2InputError, Bzip2DamageError
   */
  read(bytes: Uint8Array, bit: number): { readonly bits: number; readonly end: number | undefined } {
    this.#bytes = bytes
    this.#at = 0
    this.#buffer = 0
    this.#count = 0
    try {
      this.#bits(bit)
      const end = this.#readHeader()
      if (end === undefined) this.#readBlock()
      this.#checkInput()
      return { bits: this.#at * 8 - this.#count - bit, end }
    } catch (error) {
      // Past its end the input reads as zeros. What was found wrong then means nothing.
      this.#checkInput()
      throw error
    }
  }

  /**
   * The content, in pieces that are valid until the next is asked for.
   *
   * @throws Bzip2DamageError when it does not fit the checksum
   */
  *content(): Generator<Uint8Array, void, undefined> {
    const out = new Uint8Array(OUT)
    const chain = this.#chain
    let position = chain[this.#first]! >>> 8
    let filled = 0
    let crc = -1
    let run = 0
    let previous = -1
    for (let left = this.#length; left > 0; left--) {
      const link = chain[position]!
      const byte = link & 0xff
      position = link >>> 8
      if (filled + 256 > OUT) {
        yield out.subarray(0, filled)
        filled = 0
      }
      if (run === 4) {
        // After four equal bytes comes how many more of them there are.
        for (let i = 0; i < byte; i++) {
          out[filled++] = previous
          crc = (crc << 8) ^ CRC_TABLE[(crc >>> 24) ^ previous]!
        }
        run = 0
        previous = -1
        continue
      }
      run = byte === previous ? run + 1 : 1
      previous = byte
      out[filled++] = byte
      crc = (crc << 8) ^ CRC_TABLE[(crc >>> 24) ^ byte]!
    }
    if (filled > 0) yield out.subarray(0, filled)
    if (~crc >>> 0 !== this.crc) throw new Bzip2DamageError('the checksum of a block does not fit')
  }

  /** @returns the checksum at the end of the stream; undefined before a block */
  #readHeader(): number | undefined {
    const high = this.#bits(24)
    const low = this.#bits(24)
    if (high === END_MAGIC[0] && low === END_MAGIC[1]) return this.#bits32()
    if (high !== BLOCK_MAGIC[0] || low !== BLOCK_MAGIC[1]) {
      throw new Bzip2DamageError('neither a block nor the end of a stream')
    }
    this.crc = this.#bits32()
    if (this.#bits(1) === 1) throw new Bzip2DamageError('a block of bzip2 before 0.9.5', true)
    return undefined
  }

  #readBlock(): void {
    const first = this.#bits(24)
    const bytes = this.#readAlphabet()
    const symbols = bytes.length + 2
    const groups = this.#bits(3)
    if (groups < 2 || groups > 6) throw new Bzip2DamageError(`${groups} code tables, expected 2 to 6`)
    const selectors = this.#readSelectors(groups)
    const tables: CodeTable[] = []
    for (let i = 0; i < groups; i++) tables.push(this.#readTable(symbols))
    this.#readSymbols(bytes, selectors, tables)
    if (first >= this.#length) throw new Bzip2DamageError('a block that starts behind its end')
    this.#first = first
  }

  #readAlphabet(): Uint8Array {
    const rows = this.#bits(16)
    const bytes: number[] = []
    for (let row = 0; row < 16; row++) {
      if ((rows & (0x8000 >> row)) === 0) continue
      const used = this.#bits(16)
      for (let i = 0; i < 16; i++) if ((used & (0x8000 >> i)) !== 0) bytes.push(row * 16 + i)
    }
    if (bytes.length === 0) throw new Bzip2DamageError('a block without any byte in use')
    return Uint8Array.from(bytes)
  }

  #readSelectors(groups: number): Uint8Array {
    const count = this.#bits(15)
    if (count === 0) throw new Bzip2DamageError('a block without selectors')
    const order = [0, 1, 2, 3, 4, 5]
    const selectors = new Uint8Array(Math.min(count, MAX_SELECTORS))
    for (let i = 0; i < count; i++) {
      let place = 0
      while (this.#bits(1) === 1)
        if (++place >= groups) throw new Bzip2DamageError('a selector of no code table')
      const [table] = order.splice(place, 1)
      order.unshift(table!)
      // More than a block can use are there for nothing: some programs write them.
      if (i < MAX_SELECTORS) selectors[i] = table!
    }
    return selectors
  }

  #readTable(symbols: number): CodeTable {
    const lengths = new Uint8Array(symbols)
    let length = this.#bits(5)
    for (let i = 0; i < symbols; i++) {
      for (;;) {
        if (length < 1 || length > MAX_CODE_LENGTH) throw new Bzip2DamageError(`a code of ${length} bits`)
        if (this.#bits(1) === 0) break
        length += this.#bits(1) === 0 ? 1 : -1
      }
      lengths[i] = length
    }
    return codeTable(lengths)
  }

  #readSymbols(alphabet: Uint8Array, selectors: Uint8Array, tables: readonly CodeTable[]): void {
    const chain = this.#chain
    const capacity = this.#capacity
    const front = alphabet.slice()
    const last = alphabet.length + 1
    const counts = new Uint32Array(256)
    let length = 0
    let run = 0
    let weight = 1
    let group = 0
    let left = 0
    let table = tables[0]!
    for (;;) {
      if (left-- === 0) {
        if (group >= selectors.length) throw new Bzip2DamageError('more symbols than selectors')
        table = tables[selectors[group++]!]!
        left = GROUP - 1
      }
      const symbol = this.#symbol(table)
      if (symbol <= RUN_B) {
        run += symbol === RUN_A ? weight : 2 * weight
        weight *= 2
        if (run > capacity) throw new Bzip2DamageError('a run longer than a block')
        continue
      }
      if (run > 0) {
        if (length + run > capacity) throw new Bzip2DamageError('more bytes than a block can have')
        const byte = front[0]!
        counts[byte]! += run
        chain.fill(byte, length, length + run)
        length += run
        run = 0
        weight = 1
      }
      if (symbol === last) break
      if (length >= capacity) throw new Bzip2DamageError('more bytes than a block can have')
      const place = symbol - 1
      const byte = front[place]!
      if (place < 16) for (let i = place; i > 0; i--) front[i] = front[i - 1]!
      else front.copyWithin(1, 0, place)
      front[0] = byte
      counts[byte]!++
      chain[length++] = byte
    }
    this.#length = length
    let sum = 0
    for (let byte = 0; byte < 256; byte++) {
      const count = counts[byte]!
      counts[byte] = sum
      sum += count
    }
    for (let i = 0; i < length; i++) {
      const byte = chain[i]! & 0xff
      const place = counts[byte]!++
      chain[place] = (chain[place]! | (i << 8)) >>> 0
    }
  }

  #symbol(table: CodeTable): number {
    this.#need(MAX_CODE_LENGTH)
    const entry = table.fast[(this.#buffer >>> (this.#count - FAST_BITS)) & ((1 << FAST_BITS) - 1)]!
    if (entry !== 0) {
      this.#count -= entry & 0x1f
      return entry >>> 5
    }
    for (let length = FAST_BITS + 1; length <= table.longest; length++) {
      const code = (this.#buffer >>> (this.#count - length)) & ((1 << length) - 1)
      if (code > table.limit[length]!) continue
      this.#count -= length
      return table.symbols[code - table.base[length]!]!
    }
    throw new Bzip2DamageError('bits that are no code')
  }

  #bits(count: number): number {
    if (count === 0) return 0
    this.#need(count)
    this.#count -= count
    return (this.#buffer >>> this.#count) & ((1 << count) - 1)
  }

  #bits32(): number {
    const high = this.#bits(16)
    return ((high << 16) | this.#bits(16)) >>> 0
  }

  /** At most 25. */
  #need(count: number): void {
    while (this.#count < count) {
      // Zeros behind the end; #checkInput finds out.
      this.#buffer = (this.#buffer << 8) | (this.#bytes[this.#at++] ?? 0)
      this.#count += 8
    }
  }

  #checkInput(): void {
    if (this.#at * 8 - this.#count > this.#bytes.length * 8)
      throw new Bzip2InputError('the input ends within a block')
  }
}

function codeTable(lengths: Uint8Array): CodeTable {
  const fast = new Uint16Array(1 << FAST_BITS)
  const limit = new Int32Array(MAX_CODE_LENGTH + 1).fill(-1)
  const base = new Int32Array(MAX_CODE_LENGTH + 1)
  const symbols = new Uint16Array(lengths.length)
  let code = 0
  let place = 0
  let longest = 0
  for (let length = 1; length <= MAX_CODE_LENGTH; length++) {
    code <<= 1
    base[length] = code - place
    for (let symbol = 0; symbol < lengths.length; symbol++) {
      if (lengths[symbol] !== length) continue
      if (code >= 1 << length) throw new Bzip2DamageError('more codes than there is room for')
      symbols[place++] = symbol
      limit[length] = code
      longest = length
      if (length <= FAST_BITS) {
        const start = code << (FAST_BITS - length)
        fast.fill((symbol << 5) | length, start, start + (1 << (FAST_BITS - length)))
      }
      code++
    }
  }
  return { fast, limit, base, symbols, longest }
}
