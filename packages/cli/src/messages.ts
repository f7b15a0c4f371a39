import { inspect } from 'node:util'

/** The command line cannot be understood, or asks for what cannot be: exit status 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  readonly code = 'usage'
}

/** What libraries call an argument, or a composition file, that cannot be understood: also the fault of the command line. */
const USAGE_CODES = new Set(['usage', 'invalid-address', 'invalid-config', 'unknown-type', 'recursion'])

/** 2 for a mistake in the command line, else 1. */
export function exitCodeOf(error: unknown): 1 | 2 {
  return error instanceof Error && 'code' in error && USAGE_CODES.has(String(error.code)) ? 2 : 1
}

/** `no such file or directory`, where Node writes `ENOENT: no such file or directory, open '…'`. */
export function systemReason(error: unknown): string {
  return plain(error instanceof Error ? error.message : String(error))
}

function plain(message: string): string {
  return message.replace(/\bE[A-Z][A-Z0-9]+: ([a-z][^,;]*)(?:, [a-z]+(?: '.*')?)?/s, '$1')
}

/**
 * One line for a person, without control characters whatever names it holds. With `debug`, the stack traces of the
 * error and of what caused it.
 */
export function describe(error: unknown, debug = false): string {
  if (debug) return inspect(error)
  if (!(error instanceof Error)) return oneLine(String(error))
  // Errors of ours, and of the host, have a code; whatever has none was not foreseen.
  if ('code' in error || error.name !== 'Error') {
    const foreseen = 'code' in error || !/^(Type|Range|Reference|Syntax|Eval|URI)Error$/.test(error.name)
    if (foreseen) return oneLine(plain(error.message))
  }
  return oneLine(`internal error: ${error.message} (NEVE_DEBUG=1 shows more)`)
}

const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/** Text that is safe to print as one line: control characters and bytes that are no UTF-8 (see `arguments.ts`) escaped. */
export function oneLine(text: string): string {
  return text
    .trim()
    .replace(/\s*\r?\n\s*/g, '; ')
    .replace(UNSAFE, (character) => {
      const code = character.codePointAt(0)!
      if (code >= 0xdc80 && code <= 0xdcff) return `\\x${(code - 0xdc00).toString(16)}`
      return `\\u{${code.toString(16)}}`
    })
}
