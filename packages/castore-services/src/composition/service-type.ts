import type { z } from 'zod'
import type { Kind } from './kind.js'
import type { Reference } from './reference.js'
import type { SecretText } from './secret.js'

/** What somebody who builds a service may ask for (spec 04 section 1). */
export interface BuildContext {
  /** The name of the instance that is being built, for logs and metrics. */
  readonly instanceName: string
  /** Aborted when the composition is closed. */
  readonly signal: AbortSignal

  /**
   * The service that a reference names; built now if it was not before.
   *
   * @param reference `name`, `&name` or an address
   * @param key where the reference was found, for messages; needed when it is an address
   * @throws CompositionError
   */
  resolve<S>(kind: Kind<S>, reference: string, key?: string): Promise<S>

  /**
   * Several services at once, by their keys. Waits for all of them.
   *
   * @throws CompositionError that of the first reference, in the order of the keys, that fails
   */
  resolveAll<S, K extends string>(
    kind: Kind<S>,
    references: Readonly<Record<K, string>>,
  ): Promise<Record<K, S>>

  /** The text behind what {@link secretText} has read. From then on, errors of this build do not show it. */
  secret(text: SecretText): Promise<string>

  /**
   * Calls a function when the instance is closed, after the service itself, or when building it fails. The last one
   * that was added is called first.
   */
  onClose(close: () => Promise<void> | void): void

  /** Tells whoever made the composition what went wrong without failing a call. */
  report(trouble: { readonly store: string; readonly error: unknown }): void
}

/** Makes one instance: a configuration that was checked, or code of somebody's own. */
export interface Builder<S> {
  /** The instances that it is going to ask for, as far as that is known. Default: none. */
  readonly references?: readonly BuilderReference[]
  /** The name of its type, for lists. */
  readonly tag?: string | undefined
  /**
   * Builds the service.
   *
   * @param instanceName the name of the instance
   */
  build(instanceName: string, context: BuildContext): Promise<S>
}

/** A reference of a builder, with the builder behind it where it is an address. */
export interface BuilderReference extends Reference {
  readonly builder?: Builder<unknown> | undefined
}

/**
 * An implementation of a kind of service, as it is registered (spec 04 section 6).
 *
 * @template S the service
 * @template C its configuration, as the schema gives it
 */
export interface ServiceType<S, C> {
  /** What `type` says in a configuration, and what an address begins with. Lower-case letters and digits. */
  readonly tag: string
  /** What may stand in an address between `tag+` and the colon. Default: nothing, only `tag:` is accepted. */
  readonly suffixes?: readonly string[] | undefined
  /** Checks the configuration, without `type`. A plain `z.object` refuses unknown keys here, too. */
  readonly schema: z.ZodType<C>
  /** Other spellings of keys: the canonical key by the alias. Default: none. */
  readonly aliases?: Readonly<Record<string, string>> | undefined

  /**
   * The configuration that an address stands for; it is then checked with the schema. Without this function, addresses
   * are refused.
   *
   * @param url the address; its protocol is `tag:` or `tag+suffix:`
   * @param text the address as it was written
   * @throws ConfigError when the address cannot be one of this type
   */
  fromUrl?(url: URL, text: string): Readonly<Record<string, unknown>>

  /** The references in a configuration. They make a static check possible. Default: none. */
  references?(config: C): readonly Reference[]

  /**
   * Builds the service. Whatever it throws is reported with the name of the instance; what it has opened by then
   * should be given to `context.onClose`.
   */
  build(config: C, context: BuildContext): Promise<S> | S
}
