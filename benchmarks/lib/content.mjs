// Content to store: the same bytes in every run.
import { createCipheriv } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'

const BLOCK = 1 << 20

/** @typedef {'random' | 'text' | 'mixed'} Kind `mixed` changes between the other two from MiB to MiB */

/** Numbers in [0, 1) that follow from a seed. */
export class Seeded {
  #state

  /** @param {number} seed */
  constructor(seed) {
    this.#state = seed >>> 0
  }

  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let value = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32
  }

  /** @param {number} limit */
  below(limit) {
    return Math.floor(this.next() * limit)
  }
}

/** Bytes that nothing can compress, and words that zstd makes about a third of. */
export class ContentSource {
  #numbers
  #cipher
  /** @type {Buffer | undefined} made when it is needed: it takes a second and a hundred MB */
  #words

  /** @param {number} seed */
  constructor(seed) {
    this.#numbers = new Seeded(seed)
    const key = Buffer.alloc(16)
    key.writeUInt32LE(seed >>> 0)
    this.#cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16))
  }

  /**
   * @param {number} length
   * @returns {Uint8Array}
   */
  random(length) {
    return this.#cipher.update(Buffer.alloc(length))
  }

  /**
   * Words: sentences of a fixed text in an order that does not come again, so that no chunk is like another.
   *
   * @param {number} length
   * @returns {Uint8Array}
   */
  text(length) {
    this.#words ??= wordsOf(this.#numbers, 8 * BLOCK)
    const words = this.#words
    const out = Buffer.allocUnsafe(length)
    for (let at = 0; at < length; ) {
      const part = Math.min(length - at, 100 + this.#numbers.below(900))
      const start = this.#numbers.below(words.length - part)
      words.copy(out, at, start, start + part)
      at += part
    }
    return out
  }

  /**
   * Writes one file.
   *
   * @param {string} path
   * @param {number} length
   * @param {Kind} kind
   */
  writeFile(path, length, kind) {
    const descriptor = openSync(path, 'wx')
    try {
      for (let at = 0; at < length; at += BLOCK) {
        const part = Math.min(BLOCK, length - at)
        const isText = kind === 'text' || (kind === 'mixed' && (at / BLOCK) % 2 === 1)
        writeAll(descriptor, isText ? this.text(part) : this.random(part))
      }
    } finally {
      closeSync(descriptor)
    }
  }
}

/**
 * @param {number} descriptor
 * @param {Uint8Array} bytes
 */
export function writeAll(descriptor, bytes) {
  for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at, bytes.length - at)
}

/**
 * A text of made-up words, some of which come far more often than others.
 *
 * @param {Seeded} numbers
 * @param {number} length
 */
function wordsOf(numbers, length) {
  const syllables = [
    'ka',
    'le',
    'mi',
    'no',
    'ru',
    'sta',
    'ter',
    'ven',
    'shi',
    'qua',
    'do',
    'pre',
    'ing',
    'on',
  ]
  const vocabulary = Array.from({ length: 4000 }, () =>
    Array.from({ length: 1 + numbers.below(4) }, () => syllables[numbers.below(syllables.length)]).join(''),
  )
  const parts = []
  for (let at = 0; at < length; ) {
    const word = vocabulary[Math.floor(vocabulary.length * numbers.next() ** 3)]
    const text = `${word}${numbers.below(12) === 0 ? ',\n' : ' '}`
    parts.push(text)
    at += text.length
  }
  return Buffer.from(parts.join('').slice(0, length))
}
