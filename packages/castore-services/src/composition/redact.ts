const HIDDEN = '…'
/** Too short, or too common, to be a secret: hiding them would only garble messages. */
const MIN_LENGTH = 3
const HARMLESS = new Set(['true', 'false', 'null'])
/** What holds more objects than that is not shown at all. */
const MAX_OBJECTS = 2000

/**
 * An address as it may be shown: without user, password, query and fragment, in whatever form it comes.
 *
 * @returns never more than 200 characters
 */
export function redactAddress(address: string): string {
  const [, before = '', rest = ''] = /^([A-Za-z][A-Za-z0-9+.-]*:(?:\/\/)?)?(.*)$/s.exec(address) ?? []
  const tail = /[?#]/.exec(rest)
  const place = tail === null ? rest : rest.slice(0, tail.index)
  // Up to the last @: in a password that was not encoded there may be any of / ? #.
  const isUserCut = tail !== null && rest.lastIndexOf('@') > tail.index
  const shown = isUserCut
    ? HIDDEN
    : place.includes('@')
      ? `${HIDDEN}@${place.slice(place.lastIndexOf('@') + 1)}`
      : place
  const text = `${before}${shown}${tail === null ? '' : `${tail[0]}${HIDDEN}`}`.replace(/[\s\p{Cc}]+/gu, ' ')
  return text.length > 200 ? `${text.slice(0, 199)}${HIDDEN}` : text
}

/** Knows secrets, and takes them out of what is to be shown. */
export class Redactor {
  readonly #secrets = new Set<string>()

  /** Remembers a secret, and how it looks in a URL. */
  add(secret: string): void {
    for (const form of [secret, encoded(secret), JSON.stringify(secret).slice(1, -1)]) {
      if (form.length >= MIN_LENGTH && !HARMLESS.has(form)) this.#secrets.add(form)
    }
  }

  /** Remembers what may be secret in an address: user and password, and the values of its query. */
  addAddress(address: string): void {
    const query = /[?#](.*)$/s.exec(address)?.[1] ?? ''
    for (const part of query.split(/[&#;]/)) {
      const value = part.slice(part.indexOf('=') + 1)
      this.#addEncoded(value)
      // An address within the address has secrets of its own.
      const inner = decode(value)
      if (inner !== value && /[?@]/.test(inner)) this.addAddress(inner)
    }
    const place = address.slice(0, address.length - query.length)
    const user = /^[^:]*:(?:\/\/)?(.*)@/s.exec(place)?.[1] ?? ''
    if (user === '') return
    this.#addEncoded(user)
    for (const part of user.split(':')) this.#addEncoded(part)
  }

  /** The text without the secrets. */
  text(text: string): string {
    // The longest first: one may be a part of another.
    const secrets = [...this.#secrets].sort((a, b) => b.length - a.length)
    return secrets.reduce((clean, secret) => clean.replaceAll(secret, HIDDEN), text)
  }

  /**
   * An error without the secrets: the same object, changed, where that is possible; else a plain error with its name
   * and what may be shown of its message.
   */
  error(error: unknown): unknown {
    if (this.#secrets.size === 0 || !this.#shows(error)) return error
    this.#scrub(error, new Set())
    if (!this.#shows(error)) return error
    const { name, message } = error instanceof Error ? error : { name: 'Error', message: String(error) }
    const plain = new Error(this.text(message))
    plain.name = this.text(name)
    return plain
  }

  #addEncoded(value: string): void {
    this.add(value)
    this.add(decode(value))
  }

  /** Whether a secret is in any text that can be reached. Names of properties are none. */
  #shows(value: unknown, seen = new Set<object>()): boolean {
    if (typeof value === 'string') return this.text(value) !== value
    if (typeof value !== 'object' || value === null || seen.has(value)) return false
    if (seen.size > MAX_OBJECTS) return true
    seen.add(value)
    const held = Object.values(Object.getOwnPropertyDescriptors(value)).map(
      (property) => property.value as unknown,
    )
    if (value instanceof Map) held.push(...value.keys(), ...value.values())
    if (value instanceof Set) held.push(...value)
    return held.some((part) => this.#shows(part, seen))
  }

  #scrub(value: unknown, seen: Set<object>): void {
    if (typeof value !== 'object' || value === null || seen.has(value) || seen.size > MAX_OBJECTS) return
    seen.add(value)
    for (const [key, { value: held, writable }] of Object.entries(Object.getOwnPropertyDescriptors(value))) {
      if (typeof held === 'string' && writable === true) {
        const clean = this.text(held)
        if (clean !== held) Reflect.set(value, key, clean)
      } else {
        this.#scrub(held, seen)
      }
    }
  }
}

function encoded(text: string): string {
  return encodeURIComponent(text.replace(/\p{Surrogate}/gu, '\ufffd'))
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}
