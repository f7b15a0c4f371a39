import { closeSync, openSync, readSync } from 'node:fs'
import type { GrpcServerTls } from '@neve/castore-services/grpc/server'
import { systemReason, UsageError } from '../messages.js'
import type { Protocol } from './listening.js'
import type { AccessOptions } from './options.js'

/**
 * What TLS needs, undefined for plain text.
 *
 * @throws UsageError when options do not go together, or a file cannot be read
 */
export function readTls({ tlsCert, tlsKey, tlsClientCa }: AccessOptions): GrpcServerTls | undefined {
  if (tlsCert === undefined && tlsKey === undefined && tlsClientCa === undefined) return undefined
  if (tlsCert === undefined) throw new UsageError('TLS needs --tls-cert')
  if (tlsKey === undefined) throw new UsageError('TLS needs --tls-key')
  return {
    cert: read('--tls-cert', tlsCert),
    key: read('--tls-key', tlsKey),
    clientCa: tlsClientCa === undefined ? undefined : read('--tls-client-ca', tlsClientCa),
  }
}

/** More than any chain of certificates has, and no end of reading for what never ends. */
const MAX_PEM = 1024 * 1024

function readUpTo(path: string, limit: number): Uint8Array {
  const descriptor = openSync(path, 'r')
  try {
    const buffer = Buffer.alloc(limit + 1)
    let length = 0
    for (let read = 1; read > 0 && length < buffer.length; length += read) {
      read = readSync(descriptor, buffer, length, buffer.length - length, null)
    }
    if (length > limit) throw new Error(`it is longer than ${limit} bytes`)
    return buffer.subarray(0, length)
  } finally {
    closeSync(descriptor)
  }
}

function read(flag: string, path: string): Uint8Array {
  try {
    return readUpTo(path, MAX_PEM)
  } catch (error) {
    throw new UsageError(`${flag} ${path}: ${systemReason(error)}`)
  }
}

/** What keeps others out. */
type AccessRules = {
  readonly [K in 'tlsClientCa' | 'tokenFile' | 'readOnly' | 'insecure']?: AccessOptions[K] | undefined
}

/**
 * For addresses that other machines can reach.
 *
 * @throws UsageError when everybody would get in, and nobody said that this is wanted. Binary caches that take nothing
 *   are for everybody usually
 */
export function expectAccessControl(
  { flag, protocol }: { readonly flag: string; readonly protocol: Protocol },
  address: string,
  options: AccessRules,
): void {
  const { tlsClientCa, tokenFile, readOnly = false, insecure = false } = options
  if (tlsClientCa !== undefined || tokenFile !== undefined || insecure) return
  if (protocol === 'http' && readOnly) return
  const ways = protocol === 'http' ? '--token-file, --read-only' : '--tls-client-ca or --token-file'
  throw new UsageError(
    `${flag} ${address} can be reached by others: give ${ways}, or --insecure to let in everybody`,
  )
}
