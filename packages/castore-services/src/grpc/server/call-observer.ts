import type { IncomingHttpHeaders } from 'node:http2'
import type { FinalStatus } from './call-metadata.js'

/** A call that a client makes, whether there is such a method or not. */
export interface ObservedCall {
  /** `/package.Service/Method` */
  readonly path: string
  /** Who calls: an address, or `unknown` over a unix socket. */
  readonly peer: string
  /** As they came: there may be secrets in them. */
  readonly headers: IncomingHttpHeaders
}

/** How a call ended. */
export interface ServedCall extends FinalStatus {
  /** The only request of methods that have one, decoded; undefined when it could not be read. */
  readonly request: unknown
  /** What happened, where the client was not told all of it. */
  readonly cause: unknown
  /** Bytes of messages. */
  readonly sent: number
  readonly received: number
}

/**
 * Sees every call of a server: has it served, which never rejects, and learns how it ended.
 *
 * @param serve to be called once, at once; what it causes runs in the asynchronous context in which it is called
 */
export type CallObserver = (call: ObservedCall, serve: () => Promise<ServedCall>) => Promise<ServedCall>

/** One observer around another. */
export function composeObservers(outer: CallObserver | undefined, inner: CallObserver): CallObserver {
  if (outer === undefined) return inner
  return (call, serve) => outer(call, () => inner(call, serve))
}
