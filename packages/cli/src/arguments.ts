import { readFileSync } from 'node:fs'

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The arguments of this process with nothing lost. Node decodes them as UTF-8 and drops what is none; here each byte
 * NN that is no UTF-8 becomes the lone surrogate U+DCNN, as Python has it, and {@link argumentBytes} makes a byte of it
 * again.
 */
export function losslessArguments(argv: readonly string[]): readonly string[] {
  if (!argv.some((argument) => argument.includes('\ufffd'))) return argv
  try {
    const line = readFileSync('/proc/self/cmdline')
    const parts: Uint8Array[] = []
    for (let at = 0; at < line.length; ) {
      const end = line.indexOf(0, at)
      parts.push(line.subarray(at, end))
      at = end + 1
    }
    return parts.slice(-argv.length).map(decodeArgument)
  } catch {
    // No such thing on this host: what Node gives has to do.
    return argv
  }
}

/** Bytes as text that {@link argumentBytes} takes back to the same bytes. */
export function decodeArgument(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch {
    return decodeMixed(bytes)
  }
}

function decodeMixed(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; ) {
    const length = [1, 2, 3, 4].find((n) => at + n <= bytes.length && isText(bytes.subarray(at, at + n)))
    text +=
      length === undefined
        ? String.fromCharCode(0xdc00 + bytes[at]!)
        : decoder.decode(bytes.subarray(at, at + length))
    at += length ?? 1
  }
  return text
}

function isText(bytes: Uint8Array): boolean {
  try {
    decoder.decode(bytes)
    return true
  } catch {
    return false
  }
}

/** Whether an argument holds bytes that are no UTF-8. */
export function hasRawBytes(argument: string): boolean {
  return /\p{Cs}/u.test(argument)
}

/** The bytes that the user gave. */
export function argumentBytes(argument: string): Buffer {
  if (!hasRawBytes(argument)) return Buffer.from(argument)
  const pieces: Buffer[] = []
  for (const character of argument) {
    const code = character.codePointAt(0)!
    pieces.push(code >= 0xdc80 && code <= 0xdcff ? Buffer.from([code - 0xdc00]) : Buffer.from(character))
  }
  return Buffer.concat(pieces)
}

/** The path that the user gave: text if it is text. */
export function hostPath(argument: string): string | Uint8Array {
  return hasRawBytes(argument) ? argumentBytes(argument) : argument
}
