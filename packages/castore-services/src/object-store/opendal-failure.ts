import { CastoreError } from '../errors.js'
import type { RetryAdvice } from './retry.js'

/**
 * What opendal says of a failure. Its errors are text only: a kind, whether it is temporary, where it happened, and
 * what the other side answered.
 */
export class OpendalFailure {
  /** `NotFound`, `ConditionNotMatch`, `PermissionDenied`, `RateLimited`, `Unexpected`, … */
  readonly kind: string
  /** Of the HTTP answer, if there was one. */
  readonly status: number | undefined
  readonly #temporary: boolean
  readonly #message: string

  constructor(error: unknown) {
    const message = error instanceof Error ? error.message : String(error)
    const [, kind = 'Unexpected', temporary] = /^(\w+) \((\w+)\)/.exec(message) ?? []
    this.kind = kind
    this.#temporary = temporary === 'temporary'
    const status = /response: Parts \{ status: (\d{3})/.exec(message)?.[1]
    this.status = status === undefined ? undefined : Number(status)
    this.#message = message
  }

  get isNotFound(): boolean {
    return this.kind === 'NotFound' && !this.#message.includes('NoSuchBucket')
  }

  get isConditionNotMatch(): boolean {
    // A race that S3 did not decide yet: the other one may still fail.
    return this.kind === 'ConditionNotMatch' && !this.#message.includes('ConditionalRequestConflict')
  }

  /** A range that begins or ends behind the object. */
  get isOutOfRange(): boolean {
    return this.status === 416 || this.kind === 'RangeNotSatisfied' || this.#isShort
  }

  get #isShort(): boolean {
    return this.#message.includes('reader got too little data')
  }

  get isTemporary(): boolean {
    const { status } = this
    if (this.kind === 'RateLimited' || this.#message.includes('ConditionalRequestConflict')) return true
    if (status !== undefined && status >= 400)
      return status >= 500 ? status !== 501 && status !== 507 : [408, 425, 429].includes(status)
    return this.#temporary || this.#isShort
  }

  get advice(): RetryAdvice {
    const seconds = /"retry-after": "(\d{1,4})"/.exec(this.#message)?.[1]
    return {
      retry: this.isTemporary,
      after: seconds === undefined ? undefined : Number(seconds) * 1000,
    }
  }

  /**
   * The failure for callers.
   *
   * @param action what was being done, in words: `read object KEY`
   * @param store its name
   * @param secrets what must not be in the message
   */
  toError(action: string, store: string, secrets: readonly string[]): CastoreError {
    const code = this.isTemporary ? 'unavailable' : 'storage'
    return new CastoreError(code, `cannot ${action}: ${this.#words(secrets)} (${store})`)
  }

  // The context of the message has addresses, whose queries may be credentials, and every header: it is left out.
  #words(secrets: readonly string[]): string {
    const at = this.#message.indexOf(' => ')
    const answer = this.#message
      .slice(at < 0 ? 0 : at + 4)
      .replace(/(https?:\/\/[^\s)?"]*)\?[^\s)"]*/g, '$1')
      .replace(/\s+/g, ' ')
      .trim()
    const brief = answer.length > 300 ? `${answer.slice(0, 300)}…` : answer
    const status = this.status === undefined ? '' : `, status ${this.status}`
    return redact(`${WORDS[this.kind] ?? this.kind}${status}: ${brief}`, secrets)
  }
}

const WORDS: Readonly<Record<string, string>> = {
  NotFound: 'it does not exist',
  PermissionDenied: 'permission denied',
  RateLimited: 'too many requests',
  Unexpected: 'failed',
  ConfigInvalid: 'invalid configuration',
}

/** Takes secrets out of a text, also as they look in a URL. */
export function redact(text: string, secrets: readonly string[]): string {
  let clean = text
  for (const secret of secrets) {
    if (secret.length < 4) continue
    for (const form of [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64')]) {
      clean = clean.replaceAll(form, '…')
    }
  }
  return clean
}
