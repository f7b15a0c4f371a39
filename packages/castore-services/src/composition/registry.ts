import { z } from 'zod'
import { ConfiguredBuilder, checkConfig, configMistakes } from './builder.js'
import { CompositionError, ConfigError, type ConfigLocation, UnknownTypeError } from './errors.js'
import type { Kind } from './kind.js'
import { Redactor, redactAddress } from './redact.js'
import { checkInstanceName, parseReference } from './reference.js'
import type { Builder, ServiceType } from './service-type.js'

/** How deep addresses may stand in addresses. */
const MAX_NESTING = 16
const MAX_ADDRESS = 64 * 1024

/** What is registered, with the schema that refuses unknown keys. */
export interface RegisteredType {
  readonly type: ServiceType<unknown, unknown>
  readonly schema: z.ZodType<unknown>
}

interface RegisteredKind {
  readonly kind: Kind<unknown>
  readonly types: Map<string, RegisteredType>
}

/** The implementations that configurations and addresses can name, by kind and tag (spec 04 section 2). */
export class Registry {
  readonly #kinds = new Map<string, RegisteredKind>()

  /**
   * Adds an implementation.
   *
   * @param options `override`: take the place of the one that is there. Default: false
   * @throws CompositionError `duplicate` when there is one of that tag, or another kind has the same table
   * @throws TypeError when the tag or a suffix cannot be part of an address
   */
  register<S, C>(
    kind: Kind<S>,
    type: ServiceType<S, C>,
    options: { readonly override?: boolean } = {},
  ): void {
    for (const word of [type.tag, ...(type.suffixes ?? [])]) {
      if (!/^[a-z][a-z0-9.-]*$/.test(word)) throw new TypeError(`expected a lower-case word, got '${word}'`)
    }
    const { types } = this.#declare(kind)
    if (types.has(type.tag) && options.override !== true) {
      throw new CompositionError('duplicate', `${kind.name} type ${type.tag} is registered already`)
    }
    const { schema } = type
    const isOpen = schema instanceof z.ZodObject && schema.def.catchall === undefined
    types.set(type.tag, {
      type: type as ServiceType<unknown, unknown>,
      schema: isOpen ? schema.strict() : schema,
    })
  }

  /** The kinds that have types, in the order in which they came. */
  kinds(): readonly Kind<unknown>[] {
    return [...this.#kinds.values()].map(({ kind }) => kind)
  }

  /** The types of a kind, in the order in which they came. */
  types(kind: Kind<unknown>): readonly RegisteredType[] {
    return [...(this.#kinds.get(kind.name)?.types.values() ?? [])]
  }

  /**
   * Checks the configuration of one instance: an object with `type` and the keys of that type.
   *
   * @throws ConfigError and UnknownTypeError; with the key's name, without its value
   */
  parse<S>(kind: Kind<S>, raw: unknown): Builder<S> {
    const { found, config } = this.#typed(kind, raw)
    return this.#configure(found, config, 0) as Builder<S>
  }

  /**
   * What is wrong with the configuration of one instance: all of it, where {@link parse} tells what comes first.
   *
   * @returns errors with the keys' names, without their values
   */
  mistakes(kind: Kind<unknown>, raw: unknown): readonly ConfigError[] {
    try {
      const { found, config } = this.#typed(kind, raw)
      const mistakes = configMistakes(found.type, found.schema, config)
      if (mistakes.length === 0) this.#configure(found, config, 0)
      return mistakes
    } catch (error) {
      if (error instanceof ConfigError) return [error]
      throw error
    }
  }

  /**
   * Checks the configurations of all instances of one kind.
   *
   * @param table the configurations by the names of the instances
   * @throws ConfigError with the instance and the key
   */
  parseTable<S>(kind: Kind<S>, table: unknown): Map<string, Builder<S>> {
    if (typeof table !== 'object' || table === null || Array.isArray(table)) {
      throw new ConfigError('expected a table of instances', { table: kind.table })
    }
    const builders = new Map<string, Builder<S>>()
    for (const [instance, raw] of Object.entries(table)) {
      try {
        checkInstanceName(instance)
        builders.set(instance, this.parse(kind, raw))
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error
        throw error.at({ table: kind.table, instance: instance.slice(0, 80) })
      }
    }
    return builders
  }

  /**
   * Checks an address, and makes a builder of it (spec 04 section 5). Nothing is opened.
   *
   * @throws ConfigError and UnknownTypeError; with the address, without its secrets
   */
  fromUrl<S>(kind: Kind<S>, address: string | URL): Builder<S> {
    return this.#fromUrl(kind, String(address), 0)
  }

  #fromUrl<S>(kind: Kind<S>, address: string, depth: number): Builder<S> {
    try {
      if (depth > MAX_NESTING) throw new ConfigError(`addresses in addresses, more than ${MAX_NESTING} deep`)
      const url = parseUrl(address)
      const [tag, ...rest] = url.protocol.slice(0, -1).split('+') as [string, ...string[]]
      const found = this.#find(kind, tag)
      const suffix = rest.length === 0 ? undefined : rest.join('+')
      checkSuffix(found.type, suffix)
      if (found.type.fromUrl === undefined) {
        throw new ConfigError(`type ${tag} cannot be written as an address`)
      }
      const builder = this.#configure(found, found.type.fromUrl(url, address), depth)
      for (const { key, value } of builder.references ?? []) {
        if (parseReference(value).form !== 'name') continue
        throw new ConfigError('the name of an instance begins with & in an address: %26name', { key })
      }
      return builder as Builder<S>
    } catch (error) {
      // An address within this one was wrong, which was told without its secrets; it is the place to name.
      if (error instanceof ConfigError && error.location.address !== undefined) throw error
      throw addressError(error, address)
    }
  }

  #configure(
    { type, schema }: RegisteredType,
    raw: Readonly<Record<string, unknown>>,
    depth: number,
  ): Builder<unknown> {
    return new ConfiguredBuilder(type, checkConfig(type, schema, raw), ({ kind, value }) =>
      this.#fromUrl(kind, value, depth + 1),
    )
  }

  #typed(
    kind: Kind<unknown>,
    raw: unknown,
  ): { readonly found: RegisteredType; readonly config: Readonly<Record<string, unknown>> } {
    if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
      throw new ConfigError("expected a table with the key 'type'")
    }
    const { type: tag, ...config } = raw as Record<string, unknown>
    if (tag === undefined) throw new ConfigError("required key 'type' is missing", { key: 'type' })
    if (typeof tag !== 'string') throw new ConfigError('expected text', { key: 'type' })
    return { found: this.#find(kind, tag, { key: 'type' }), config }
  }

  #find(kind: Kind<unknown>, tag: string, location: ConfigLocation = {}): RegisteredType {
    const types = this.#kinds.get(kind.name)?.types ?? new Map<string, RegisteredType>()
    const found = types.get(tag)
    if (found === undefined) throw new UnknownTypeError(tag.slice(0, 40), [...types.keys()], location)
    return found
  }

  #declare<S>(kind: Kind<S>): RegisteredKind {
    for (const { kind: other } of this.#kinds.values()) {
      if ((other.name === kind.name) !== (other.table === kind.table)) {
        throw new CompositionError(
          'duplicate',
          `kind ${kind.name} with table ${kind.table} contradicts kind ${other.name} with table ${other.table}`,
        )
      }
    }
    let declared = this.#kinds.get(kind.name)
    if (declared === undefined) {
      declared = { kind: kind as Kind<unknown>, types: new Map() }
      this.#kinds.set(kind.name, declared)
    }
    return declared
  }
}

function checkSuffix(
  { tag, suffixes = [] }: ServiceType<unknown, unknown>,
  suffix: string | undefined,
): void {
  if (suffix === undefined || suffixes.includes(suffix)) return
  const expected =
    suffixes.length === 0 ? `${tag}:` : `one of ${suffixes.map((known) => `${tag}+${known}:`).join(', ')}`
  throw new ConfigError(`unknown scheme '${tag}+${suffix.slice(0, 40)}:', expected ${expected}`)
}

function parseUrl(address: string): URL {
  const expected = 'expected an address such as memory: or embedded:/path/to/folder'
  if (address.length > MAX_ADDRESS)
    throw new ConfigError(`address has ${address.length} characters, expected at most ${MAX_ADDRESS}`)
  // A parser would drop these silently.
  if (/[\s\p{Cc}]/u.test(address))
    throw new ConfigError(`unable to parse url: there is white space in it, ${expected}`)
  if (!URL.canParse(address)) throw new ConfigError(`unable to parse url: ${expected}`)
  return new URL(address)
}

/** What is wrong with an address, without its secrets. */
function addressError(error: unknown, address: string): ConfigError {
  // What is no address at all may be anything, even a password.
  const shown = URL.canParse(address) ? redactAddress(address) : undefined
  if (error instanceof UnknownTypeError) return error.at({ address: shown })
  const redactor = new Redactor()
  redactor.addAddress(address)
  if (error instanceof ConfigError) {
    const { key } = error.location
    return new ConfigError(redactor.text(error.detail), {
      address: shown,
      key: key === undefined ? undefined : redactor.text(key),
    })
  }
  const cause = redactor.error(error)
  return new ConfigError(
    cause instanceof Error ? cause.message : String(cause),
    { address: shown },
    { cause },
  )
}
