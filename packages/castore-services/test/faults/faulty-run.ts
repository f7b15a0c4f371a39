import { CastoreError } from '@neve/castore-services'
import {
  GrpcBlobListStore,
  GrpcBlobService,
  GrpcChunkStore,
  GrpcDirectoryService,
  openGrpcChannel,
} from '@neve/castore-services/grpc'
import { castoreServer } from '@neve/castore-services/grpc/server'
import { expect } from 'vitest'
import { Backing, type Operation, type Services } from './operations.js'
import { type Direction, type Fault, type TcpProxy, tcpProxy } from './tcp-proxy.js'

/** A server of all services behind a proxy, and a client. */
export interface Rig extends AsyncDisposable {
  readonly backing: Backing
  readonly proxy: TcpProxy
  readonly services: Services
}

/** @param timeout how long a call may be silent, in milliseconds */
export async function rig(operation: Operation, timeout = 20_000): Promise<Rig> {
  const backing = new Backing()
  await operation.prepare(backing)
  const server = castoreServer({ blobs: backing.blobs, directories: backing.directories })
  const listener = await server.listen('127.0.0.1:0')
  const proxy = await tcpProxy(Number(listener.address.split(':').at(-1)))
  const channel = await openGrpcChannel(`grpc+http://127.0.0.1:${proxy.port}`, { timeout })
  const services = {
    blobs: new GrpcBlobService(channel),
    directories: new GrpcDirectoryService(channel),
    chunks: new GrpcChunkStore(channel),
    lists: new GrpcBlobListStore(channel),
  }
  const dispose = async () => {
    await channel.close()
    await proxy[Symbol.asyncDispose]()
    await server.close({ grace: 0 })
  }
  return { backing, proxy, services, [Symbol.asyncDispose]: dispose }
}

/** What goes over the wire when nothing is wrong, and what is stored in the end. */
export interface CleanRun {
  readonly bytes: Readonly<Record<Direction, number>>
  /** Where the pieces of each direction ended. */
  readonly ends: Readonly<Record<Direction, readonly number[]>>
  readonly stored: ReadonlySet<string>
}

export async function cleanRun(operation: Operation): Promise<CleanRun> {
  await using set = await rig(operation)
  const result = await operation.run(set.services)
  expect(operation.right(result)).toBe(true)
  const { seen, ends } = set.proxy
  return {
    bytes: { ...seen },
    ends: { up: [...ends.up], down: [...ends.down] },
    stored: set.backing.stored(),
  }
}

/** How a run with a fault came out. */
export type Outcome = { readonly value: unknown } | { readonly error: unknown }

/** The longest that anything may take, whatever is wrong. */
const HANG = 60_000

async function outcomeOf(work: Promise<unknown>): Promise<Outcome> {
  let timer: NodeJS.Timeout | undefined
  const hang = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('it hangs')), HANG)
  })
  try {
    return { value: await Promise.race([work, hang]) }
  } catch (error) {
    return { error }
  } finally {
    clearTimeout(timer)
  }
}

/** Options of {@link faultyRun}. */
export interface FaultyRunOptions {
  readonly direction: Direction
  readonly fault: Fault
  /** Whether only the first connection has the fault: then the same again has to work. */
  readonly once: boolean
  readonly clean: CleanRun
  readonly timeout?: number | undefined
  /** Whether bytes may arrive changed: then a miss may be told where there is none. */
  readonly changed?: boolean | undefined
}

/**
 * Runs an operation with a fault under way, and checks that nothing wrong came of it: a right result or a CastoreError,
 * what was acknowledged is there, and nothing is stored that was not sent.
 */
export async function faultyRun(operation: Operation, options: FaultyRunOptions): Promise<Outcome> {
  const { direction, fault, once, clean, timeout, changed = false } = options
  await using set = await rig(operation, timeout)
  set.proxy.faults = { [direction]: fault }
  set.proxy.once = once
  const outcome = await outcomeOf(operation.run(set.services))
  const label = `${operation.name}, ${direction} ${JSON.stringify(fault)}`
  if ('error' in outcome) {
    if (!(outcome.error instanceof CastoreError))
      throw new Error(`${label}: no CastoreError`, { cause: outcome.error })
  } else {
    const good = changed ? operation.bearable(outcome.value) : operation.right(outcome.value)
    expect(good, `${label}: a wrong result`).toBe(true)
    const acknowledged = operation.done === undefined || (await operation.done(set.backing))
    expect(acknowledged, `${label}: acknowledged, but not there`).toBe(true)
  }
  if (!changed) {
    const extra = [...set.backing.stored()].filter((item) => !clean.stored.has(item))
    expect(extra, `${label}: stored what was not sent`).toEqual([])
  }
  if (once) {
    // A connection that was to be cut after the last byte is cut in the next call, and only then there is a sound one.
    const second = await outcomeOf(operation.run(set.services))
    const again = 'error' in second ? await outcomeOf(operation.run(set.services)) : second
    if ('error' in again) throw new Error(`${label}: no recovery`, { cause: again.error })
    expect(operation.right(again.value), `${label}: a wrong result after it`).toBe(true)
  }
  return outcome
}
