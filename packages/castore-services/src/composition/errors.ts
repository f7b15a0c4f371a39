import { CastoreError } from '../errors.js'

/**
 * What went wrong, for programs. A code never changes its meaning; messages are for people and may change.
 *
 * - `invalid-config`: configuration, or an address, is not what its type takes
 * - `unknown-type`: no implementation of that name is registered for the kind
 * - `duplicate`: there is one of that name already
 * - `not-found`: no instance of that name is in the composition
 * - `recursion`: an instance needs itself, by way of others
 * - `failed`: the implementation could not be made
 * - `in-use`: the instance is built, or being built, and cannot be changed any more
 * - `secret`: a secret is not where the configuration says
 * - `closed`: the composition was closed
 * - `close-failed`: some services could not be closed
 */
export type CompositionErrorCode =
  | 'invalid-config'
  | 'unknown-type'
  | 'duplicate'
  | 'not-found'
  | 'recursion'
  | 'failed'
  | 'in-use'
  | 'secret'
  | 'closed'
  | 'close-failed'

/** Every failure of a registry or composition. No message has a secret in it. */
export class CompositionError extends Error {
  override readonly name: string = 'CompositionError'
  readonly code: CompositionErrorCode

  constructor(code: CompositionErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

/** Where in a configuration something is. */
export interface ConfigLocation {
  /** Name of the file. */
  readonly file?: string | undefined
  /** Line in the file, from 1. */
  readonly line?: number | undefined
  /** Name of the table: `blobservices`. */
  readonly table?: string | undefined
  /** Name of the instance. */
  readonly instance?: string | undefined
  /** The address, without its secrets. */
  readonly address?: string | undefined
  /** Name of the key; `object_store_options.region`, `stores[1]` below one. */
  readonly key?: string | undefined
}

/** A configuration or address is refused before anything is built (spec 04 section 7). */
export class ConfigError extends CompositionError {
  override readonly name: string = 'ConfigError'
  readonly location: ConfigLocation
  /** What is wrong, without where. */
  readonly detail: string

  constructor(
    detail: string,
    location: ConfigLocation = {},
    options: { readonly cause?: unknown; readonly code?: CompositionErrorCode } = {},
  ) {
    super(options.code ?? 'invalid-config', locate(location, detail), options)
    this.detail = detail
    this.location = location
  }

  /** The same error, knowing more about where it is. What it knows already stays. */
  at(outer: ConfigLocation): ConfigError {
    const { cause, code } = this
    return new ConfigError(this.detail, { ...outer, ...defined(this.location) }, { cause, code })
  }
}

/** No implementation of that name is registered for the kind. */
export class UnknownTypeError extends ConfigError {
  override readonly name = 'UnknownTypeError'

  constructor(
    readonly type: string,
    readonly known: readonly string[],
    location: ConfigLocation = {},
  ) {
    super(`Unknown type: ${type}, expected one of ${known.join(', ') || '(none)'}`, location, {
      code: 'unknown-type',
    })
  }

  override at(outer: ConfigLocation): UnknownTypeError {
    return new UnknownTypeError(this.type, this.known, { ...outer, ...defined(this.location) })
  }
}

/** No instance of that name is in the composition. */
export class InstanceNotFoundError extends CompositionError {
  override readonly name = 'InstanceNotFoundError'

  /**
   * @param kind name of the kind that was asked for
   * @param instance the name that nothing has
   * @param path how one got there: instances and keys, the outermost first
   */
  constructor(
    readonly kind: string,
    readonly instance: string,
    readonly path: readonly string[],
  ) {
    super('not-found', `store not found: ${instance}${trail(path)}`)
  }
}

/** An instance needs itself, by way of others. */
export class RecursionError extends CompositionError {
  override readonly name = 'RecursionError'

  /**
   * @param names the instances under construction, the outermost first, without the one that was asked for again
   * @param path the same with kinds and keys, and with that one
   */
  constructor(
    readonly names: readonly string[],
    readonly path: readonly string[],
  ) {
    super('recursion', `recursion not allowed ${jsonList(names)}${trail(path)}`)
  }
}

/** An implementation could not be made; the cause tells why. */
export class ConstructionFailedError extends CompositionError {
  override readonly name = 'ConstructionFailedError'

  /**
   * @param kind name of the kind
   * @param instance name of the instance
   * @param path how one got there: instances and keys, the outermost first
   */
  constructor(
    readonly kind: string,
    readonly instance: string,
    readonly path: readonly string[],
    options: { readonly cause: unknown },
  ) {
    super(
      'failed',
      `instantiation of service ${instance} failed: ${messageOf(options.cause)}${trail(path)}`,
      options,
    )
  }
}

/** Some services could not be closed; all others were. */
export class CloseFailedError extends CompositionError {
  override readonly name = 'CloseFailedError'

  /** @param errors what each of them failed with */
  constructor(readonly errors: readonly unknown[]) {
    super('close-failed', `unable to close ${errors.length} of the services: ${messageOf(errors[0])}`, {
      cause: errors[0],
    })
  }
}

/** Whether the failure may pass by itself: a peer that cannot be reached now. */
export function isTransient(error: unknown): boolean {
  return (
    error instanceof ConstructionFailedError &&
    error.cause instanceof CastoreError &&
    error.cause.code === 'unavailable'
  )
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function trail(path: readonly string[]): string {
  return path.length < 2 ? '' : ` (${path.join(' → ')})`
}

function jsonList(names: readonly string[]): string {
  return `[${names.map((name) => JSON.stringify(name)).join(', ')}]`
}

function locate({ file, line, table, instance, address, key }: ConfigLocation, detail: string): string {
  const place = line === undefined ? file : `${file ?? 'line '}${file === undefined ? '' : ':'}${line}`
  const dotted = [table, instance, key].filter((part) => part !== undefined).join('.')
  return [place, address, dotted === '' ? undefined : dotted, detail]
    .filter((part) => part !== undefined)
    .join(': ')
}

function defined(location: ConfigLocation): ConfigLocation {
  return Object.fromEntries(Object.entries(location).filter(([, value]) => value !== undefined))
}
