import { X509Certificate } from 'node:crypto'
import { open } from 'node:fs/promises'
import { createSecureContext, type SecureContext } from 'node:tls'
import { CastoreError } from '../errors.js'
import type { GrpcAddress } from './address.js'

/** What a client shows, and whom it believes. Everything is PEM. */
export interface GrpcClientTls {
  /** The authorities that may sign the server's certificate. Default: those that Node.js trusts. */
  readonly ca?: Uint8Array | undefined
  /** The client's certificate and those that lead up to an authority. Goes with `key`. Default: none is shown. */
  readonly cert?: Uint8Array | undefined
  /** The private key of `cert`. */
  readonly key?: Uint8Array | undefined
}

/**
 * What TLS needs to know for an address: undefined for plain text, else what the options say and what the address'
 * files hold.
 *
 * @throws CastoreError `invalid-input` when a file cannot be read, or its content is none that TLS can use
 */
export async function clientContext(
  { name, tls, options }: GrpcAddress,
  given: GrpcClientTls | undefined,
): Promise<SecureContext | undefined> {
  if (!tls) {
    if (given === undefined) return undefined
    throw new CastoreError('invalid-input', `${name}: TLS options are for grpc+https: only`)
  }
  const ca = given?.ca ?? (await readPem(name, 'tls-ca-cert-path', options.tlsCaPath))
  const cert = given?.cert ?? (await readPem(name, 'tls-client-cert-path', options.tlsCertPath))
  const key = given?.key ?? (await readPem(name, 'tls-client-key-path', options.tlsKeyPath))
  try {
    if (ca !== undefined) new X509Certificate(ca)
    return createSecureContext({ ca: bufferOf(ca), cert: bufferOf(cert), key: bufferOf(key) })
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause)
    throw new CastoreError('invalid-input', `${name}: unusable certificates or key: ${text}`, { cause })
  }
}

/** More than any chain of certificates has, and no end of reading for what never ends. */
const MAX_PEM = 1024 * 1024

async function readPem(
  name: string,
  option: string,
  path: string | undefined,
): Promise<Uint8Array | undefined> {
  if (path === undefined) return undefined
  try {
    await using file = await open(path)
    const buffer = Buffer.alloc(MAX_PEM + 1)
    let length = 0
    for (let read = 1; read > 0 && length < buffer.length; length += read) {
      read = (await file.read(buffer, length, buffer.length - length)).bytesRead
    }
    if (length > MAX_PEM) throw new Error(`it is longer than ${MAX_PEM} bytes`)
    return buffer.subarray(0, length)
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause)
    throw new CastoreError('invalid-input', `${name}: unable to read ${option}: ${text}`, { cause })
  }
}

function bufferOf(bytes: Uint8Array | undefined): Buffer | undefined {
  return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
