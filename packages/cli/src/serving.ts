import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { type GrpcServerTls, parseListenAddress } from '@neve/castore-services/grpc/server'
import type { Context } from './context.js'
import { systemReason, UsageError } from './messages.js'

/** Options of whatever listens. */
export interface ServingOptions {
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsClientCa?: string
  readonly insecure?: boolean
}

/**
 * Where to listen, checked before anything is opened.
 *
 * @throws UsageError for an address that cannot be understood, or that lets in anybody without `--insecure`
 */
export function listenAddresses(texts: readonly string[], options: ServingOptions): string[] {
  return texts.map((text) => {
    const absolute = /^\.{0,2}\//.test(text) ? resolve(text) : text
    let host: string | undefined
    try {
      const address = parseListenAddress(absolute)
      host = address.kind === 'tcp' ? address.host : undefined
    } catch (error) {
      throw new UsageError(`--listen: ${error instanceof Error ? error.message : String(error)}`)
    }
    const closed = host === undefined || isLoopback(host) || options.tlsClientCa !== undefined
    if (!closed && options.insecure !== true) {
      throw new UsageError(
        `--listen ${text} can be reached by others: give --tls-client-ca, or --insecure to let in anybody`,
      )
    }
    return absolute
  })
}

function isLoopback(host: string): boolean {
  const address = host.replace(/^\[(.*)\]$/, '$1')
  if (isIP(address) === 4) return address.startsWith('127.')
  return address === '::1' || address === 'localhost'
}

/** @throws UsageError when options do not go together, or a file cannot be read */
export function readTls({ tlsCert, tlsKey, tlsClientCa }: ServingOptions): GrpcServerTls | undefined {
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

/** Tells that clients can connect, and waits until the user wants it to stop. */
export async function waitForStop(
  context: Context,
  urls: readonly string[],
  readyFd: number | undefined,
): Promise<void> {
  const { signal } = context.io
  const log = await context.log()
  log.info({ listen_address: urls }, `serving on ${urls.join(' ')}`)
  if (readyFd !== undefined) {
    try {
      writeSync(readyFd, '\n')
      if (readyFd > 2) closeSync(readyFd)
    } catch (error) {
      throw new UsageError(`--ready-fd ${readyFd}: ${systemReason(error)}`)
    }
  }
  if (signal.aborted) return
  await new Promise<void>((stop) => {
    signal.addEventListener('abort', () => stop(), { once: true })
  })
  log.info('stopping once calls that run have ended; again to stop at once')
}
