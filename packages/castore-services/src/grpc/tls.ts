import { readFile } from 'node:fs/promises'
import { ChannelCredentials } from 'nice-grpc'
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
 * The credentials for an address: plain text, or TLS with what the options say and what the address' files hold.
 *
 * @throws CastoreError `invalid-input` when a file cannot be read, or its content is none that TLS can use
 */
export async function clientCredentials(
  { name, tls, options }: GrpcAddress,
  given: GrpcClientTls | undefined,
): Promise<ChannelCredentials> {
  if (!tls) {
    if (given === undefined) return ChannelCredentials.createInsecure()
    throw new CastoreError('invalid-input', `${name}: TLS options are for grpc+https: only`)
  }
  const ca = given?.ca ?? (await readPem(name, 'tls-ca-cert-path', options.tlsCaPath))
  const cert = given?.cert ?? (await readPem(name, 'tls-client-cert-path', options.tlsCertPath))
  const key = given?.key ?? (await readPem(name, 'tls-client-key-path', options.tlsKeyPath))
  try {
    return ChannelCredentials.createSsl(bufferOf(ca), bufferOf(key), bufferOf(cert))
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause)
    throw new CastoreError('invalid-input', `${name}: unusable certificates or key: ${text}`, { cause })
  }
}

async function readPem(
  name: string,
  option: string,
  path: string | undefined,
): Promise<Uint8Array | undefined> {
  if (path === undefined) return undefined
  try {
    return await readFile(path)
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause)
    throw new CastoreError('invalid-input', `${name}: unable to read ${option}: ${text}`, { cause })
  }
}

function bufferOf(bytes: Uint8Array | undefined): Buffer | null {
  return bytes === undefined ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
