import { CastoreError } from '../errors.js'

/** Where a gRPC peer listens, and how to talk to it: a `grpc+…` URL taken apart (spec 02 section 16.3). */
export interface GrpcAddress {
  /** What to call the peer in messages: the URL without its options. */
  readonly name: string
  /** What is dialled. */
  readonly endpoint: GrpcEndpoint
  readonly tls: boolean
  /** Of the URL's options, those that it has. */
  readonly options: GrpcAddressOptions
}

/** A socket file, or a host by name or IP address with a port. */
export type GrpcEndpoint =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }

/** What can be said behind the question mark (spec 07 section 13.9). */
export interface GrpcAddressOptions {
  readonly waitConnect?: boolean | undefined
  readonly tlsCaPath?: string | undefined
  readonly tlsCertPath?: string | undefined
  readonly tlsKeyPath?: string | undefined
  readonly tokenPath?: string | undefined
}

const OPTION_KEYS = [
  'wait-connect',
  'tls-ca-cert-path',
  'tls-client-cert-path',
  'tls-client-key-path',
  'token-file',
] as const
type OptionKey = (typeof OPTION_KEYS)[number]

// What fits into the kernel's sockaddr_un, with the byte that ends it.
const MAX_SOCKET_PATH = 107

/**
 * Takes a `grpc+unix:`, `grpc+http:` or `grpc+https:` URL apart. Nothing is contacted, no file is read.
 *
 * @throws CastoreError `invalid-input` for everything that the table of spec 02 section 16.5 refuses, and for unknown
 *   or repeated options
 */
export function parseGrpcUrl(text: string): GrpcAddress {
  const url = parse(text)
  if (!url.protocol.startsWith('grpc+')) {
    if (url.pathname !== '' && url.pathname !== '/') throw refusal(text, 'path may not be set')
    throw refusal(text, 'grpc+ prefix is missing from URL')
  }
  if (url.username !== '' || url.password !== '') throw refusal(text, 'user and password may not be set')
  if (url.hash !== '') throw refusal(text, `fragment may not be set, got '${url.hash}'`)
  switch (url.protocol) {
    case 'grpc+unix:':
      return unixAddress(text, url)
    case 'grpc+http:':
      return tcpAddress(text, url, false)
    case 'grpc+https:':
      return tcpAddress(text, url, true)
    default:
      throw refusal(text, `unknown scheme '${url.protocol}', expected grpc+unix:, grpc+http: or grpc+https:`)
  }
}

function unixAddress(text: string, url: URL): GrpcAddress {
  if (url.host !== '') throw refusal(text, 'host may not be set for unix domain sockets')
  const path = socketPath(text, url.pathname)
  const options = readOptions(text, url.searchParams, false)
  return { name: `grpc+unix:${url.pathname}`, endpoint: { kind: 'unix', path }, tls: false, options }
}

/** The path of the socket file, checked: absolute, decoded, with one slash at the start. */
function socketPath(text: string, encoded: string): string {
  let path: string
  try {
    path = decodeURIComponent(encoded)
  } catch (cause) {
    throw refusal(text, `path '${encoded}' is not percent-encoded UTF-8`, cause)
  }
  if (!path.startsWith('/') || /^\/*$/.test(path)) {
    throw refusal(text, `expected the absolute path of a socket, got '${path}'`)
  }
  if (/[\0\r\n]/.test(path)) throw refusal(text, 'path of the socket has a line break or a NUL in it')
  const length = Buffer.byteLength(path)
  if (length > MAX_SOCKET_PATH) {
    throw refusal(text, `path of the socket has ${length} bytes, expected at most ${MAX_SOCKET_PATH}`)
  }
  return path.replace(/^\/+/, '/')
}

function tcpAddress(text: string, url: URL, tls: boolean): GrpcAddress {
  if (url.hostname === '') throw refusal(text, 'host is missing')
  // A slash alone is what many a tool appends to a URL without a path (spec 02 weakness 23).
  if (url.pathname !== '' && url.pathname !== '/') throw refusal(text, 'path may not be set')
  const scheme = tls ? 'https' : 'http'
  const endpoint = parse(text, `${scheme}://${url.host}`)
  const host = endpoint.hostname.replace(/^\[(.*)\]$/, '$1')
  const port = endpoint.port === '' ? (tls ? 443 : 80) : Number(endpoint.port)
  if (port === 0) throw refusal(text, 'expected a port from 1 to 65535, got 0')
  return {
    name: `grpc+${scheme}://${url.host}`,
    endpoint: { kind: 'tcp', host, port },
    tls,
    options: readOptions(text, url.searchParams, tls),
  }
}

function readOptions(text: string, parameters: URLSearchParams, tls: boolean): GrpcAddressOptions {
  const found = new Map<OptionKey, string>()
  for (const [key, value] of parameters) {
    if (!isOptionKey(key)) {
      throw refusal(text, `unknown option '${key}', expected one of ${OPTION_KEYS.join(', ')}`)
    }
    if (found.has(key)) throw refusal(text, `option '${key}' is there twice`)
    if (key.startsWith('tls-') && !tls) throw refusal(text, `option '${key}' is for grpc+https: only`)
    if (value === '') throw refusal(text, `option '${key}' has no value`)
    found.set(key, value)
  }
  const wait = found.get('wait-connect')
  if (wait !== undefined && wait !== '0' && wait !== '1') {
    throw refusal(text, `option 'wait-connect' is '${wait}', expected 0 or 1`)
  }
  if (found.has('tls-client-cert-path') !== found.has('tls-client-key-path')) {
    throw refusal(
      text,
      "options 'tls-client-cert-path' and 'tls-client-key-path' go together: one is missing",
    )
  }
  return {
    waitConnect: wait === undefined ? undefined : wait === '1',
    tlsCaPath: found.get('tls-ca-cert-path'),
    tlsCertPath: found.get('tls-client-cert-path'),
    tlsKeyPath: found.get('tls-client-key-path'),
    tokenPath: found.get('token-file'),
  }
}

function isOptionKey(key: string): key is OptionKey {
  return (OPTION_KEYS as readonly string[]).includes(key)
}

function parse(text: string, part = text): URL {
  try {
    return new URL(part)
  } catch (cause) {
    throw refusal(text, 'unable to parse', cause)
  }
}

function refusal(text: string, detail: string, cause?: unknown): CastoreError {
  // Whoever wrote a password into the URL does not want to read it in a log.
  const shown = text.replace(/\/\/[^/?#]*@/, '//…@')
  return new CastoreError('invalid-input', `invalid gRPC URL '${shown}': ${detail}`, { cause })
}
