import { isIP } from 'node:net'
import { CastoreError } from '../errors.js'

/** Where a server is to listen (spec 08 section 4.1). */
export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** A socket file. `path` is as given: absolute, or beginning with `./`. */
  | { readonly kind: 'unix'; readonly path: string }
  /** A socket with a name of its own, which Linux has. */
  | { readonly kind: 'abstract'; readonly name: string }
  /** One connection over standard input and output. */
  | { readonly kind: 'stdio' }
  /** Sockets that whoever started this process opened: the first one, those of a name, or all. */
  | { readonly kind: 'passed'; readonly name?: string | undefined; readonly all?: boolean | undefined }

/** What fits into the kernel's sockaddr_un, with the byte that ends a path or begins a name. */
const MAX_SOCKET_NAME = 107

/** The forms of an address, for messages and help. */
export const LISTEN_ADDRESS_FORMS =
  'IPv4:port, [IPv6]:port, /path or ./path of a socket, @name, sd-listen, sd-listen:NAME, sd-listen:* or stdio'

/**
 * Reads an address in one of the {@link LISTEN_ADDRESS_FORMS}. Port 0 is any that is free; host names are refused.
 *
 * @throws CastoreError `invalid-input`
 */
export function parseListenAddress(text: string): ListenAddress {
  if (/^\.?\//.test(text)) return unixAddress(text)
  if (text.startsWith('@')) return abstractAddress(text)
  if (text === '-' || /^(inetd|stdio)$/i.test(text)) return { kind: 'stdio' }
  if (/^sd[-_]listen([-_]unix)?$/i.test(text)) return { kind: 'passed' }
  const passed = /^sd[-_]listen:([^:\0]+)$/.exec(text)
  if (passed !== null)
    return passed[1] === '*' ? { kind: 'passed', all: true } : { kind: 'passed', name: passed[1] }
  if (text.startsWith('vsock:')) {
    throw new CastoreError(
      'invalid-input',
      `unable to listen on ${text}: Node.js has no sockets of that kind`,
    )
  }
  return tcpAddress(text)
}

function tcpAddress(text: string): ListenAddress {
  const [, six, four, port] = /^(?:\[([^\]]*)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? []
  if (port === undefined || Number(port) > 65_535) throw refusal(text, LISTEN_ADDRESS_FORMS)
  if (six === undefined ? isIP(four!) !== 4 : isIP(six) !== 6) throw refusal(text, LISTEN_ADDRESS_FORMS)
  return { kind: 'tcp', host: six ?? four!, port: Number(port) }
}

function unixAddress(text: string): ListenAddress {
  if (/^\.?\/+$/.test(text)) throw refusal(text, 'the path of a socket')
  if (/[\0\r\n]/.test(text)) throw refusal(text, 'a path without line breaks and NULs')
  expectShort(text, text)
  return { kind: 'unix', path: text.replace(/^\/+/, '/') }
}

function abstractAddress(text: string): ListenAddress {
  const name = text.slice(1)
  if (name === '') throw refusal(text, 'a name behind the @')
  if (/[\0\r\n]/.test(name)) throw refusal(text, 'a name without line breaks and NULs')
  expectShort(text, name)
  return { kind: 'abstract', name }
}

function expectShort(text: string, name: string): void {
  if (Buffer.byteLength(name) > MAX_SOCKET_NAME) throw refusal(text, `at most ${MAX_SOCKET_NAME} bytes`)
}

function refusal(text: string, expected: string): CastoreError {
  return new CastoreError(
    'invalid-input',
    `invalid address to listen on: expected ${expected}, got '${text}'`,
  )
}
