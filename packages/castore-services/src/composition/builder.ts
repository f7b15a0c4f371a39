import type { z } from 'zod'
import { ConfigError } from './errors.js'
import { Redactor } from './redact.js'
import { parseReference } from './reference.js'
import type { SecretText } from './secret.js'
import type { BuildContext, Builder, BuilderReference, ServiceType } from './service-type.js'

/** Makes a builder of an address that stands in a configuration. */
export type ParseAddress = (reference: BuilderReference) => Builder<unknown>

/** A configuration that was checked. It shows none of its values: there may be secrets among them. */
export class ConfiguredBuilder<S, C> implements Builder<S> {
  readonly #references: readonly BuilderReference[]
  readonly #type: ServiceType<S, C>
  readonly #config: C

  constructor(type: ServiceType<S, C>, config: C, parseAddress: ParseAddress) {
    this.#type = type
    this.#config = config
    this.#references = (type.references?.(config) ?? []).map((reference) => {
      try {
        if (parseReference(reference.value).form !== 'address') return reference
        return { ...reference, builder: parseAddress(reference) }
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error
        throw error.at({ key: reference.key })
      }
    })
  }

  get references(): readonly BuilderReference[] {
    return this.#references
  }

  get tag(): string {
    return this.#type.tag
  }

  async build(_instanceName: string, context: BuildContext): Promise<S> {
    const redactor = new Redactor()
    for (const text of textsIn(this.#config)) redactor.addAddress(text)
    try {
      return await this.#type.build(this.#config, {
        instanceName: context.instanceName,
        signal: context.signal,
        resolve: (kind, reference, key) => context.resolve(kind, reference, key),
        resolveAll: (kind, references) => context.resolveAll(kind, references),
        onClose: (close) => context.onClose(close),
        report: (trouble) => context.report({ ...trouble, error: redactor.error(trouble.error) }),
        secret: async (secret) => remember(redactor, await context.secret(secret), secret),
      })
    } catch (error) {
      throw redactor.error(error)
    }
  }

  toString(): string {
    return this.tag
  }

  toJSON(): string {
    return this.tag
  }
}

/** Checks a configuration. `raw` has no `type` any more. */
export function checkConfig<S, C>(
  type: ServiceType<S, C>,
  schema: z.ZodType<C>,
  raw: Readonly<Record<string, unknown>>,
): C {
  const canonical = resolveAliases(type, raw)
  const result = schema.safeParse(canonical)
  if (result.success) return result.data
  throw issueErrors(result.error.issues[0]!, canonical, keysOf(schema))[0]!
}

/** Everything that {@link checkConfig} could throw, instead of the first of it. */
export function configMistakes<S, C>(
  type: ServiceType<S, C>,
  schema: z.ZodType<C>,
  raw: Readonly<Record<string, unknown>>,
): readonly ConfigError[] {
  try {
    const canonical = resolveAliases(type, raw)
    const issues = schema.safeParse(canonical).error?.issues ?? []
    return issues.flatMap((issue) => issueErrors(issue, canonical, keysOf(schema)))
  } catch (error) {
    if (error instanceof ConfigError) return [error]
    throw error
  }
}

function resolveAliases<S, C>(
  { aliases = {} }: ServiceType<S, C>,
  raw: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const entries = Object.entries(raw).map(([key, value]) => {
    const canonical = Object.hasOwn(aliases, key) ? aliases[key]! : key
    if (canonical !== key && Object.hasOwn(raw, canonical)) {
      throw new ConfigError(`is another spelling of '${canonical}', which is there too`, { key })
    }
    return [canonical, value] as const
  })
  return Object.fromEntries(entries)
}

/** At least one: an issue may be about several keys. */
function issueErrors(
  issue: z.core.$ZodIssue,
  raw: Readonly<Record<string, unknown>>,
  known: readonly string[],
): readonly ConfigError[] {
  const key = keyText(issue.path)
  if (issue.code === 'unrecognized_keys') {
    const expected =
      issue.path.length > 0 ? '' : `, expected ${known.length === 0 ? 'none' : `one of ${known.join(', ')}`}`
    return issue.keys.map(
      (name) => new ConfigError(`unknown key '${name}'${expected}`, { key: keyText([...issue.path, name]) }),
    )
  }
  const value = issue.path.reduce<unknown>(
    (at, part) => (at as Record<PropertyKey, unknown> | undefined)?.[part],
    raw,
  )
  const detail = issue.message.replace(/^Invalid input: /, '').replace(/, received .*$/, '')
  if (value === undefined)
    return [new ConfigError(`required key '${key}' is missing: ${lower(detail)}`, { key })]
  return [new ConfigError(`${lower(detail)}, got ${describe(value)}`, { key })]
}

/** What kind of value it is. Never the value: it may be a secret. */
function describe(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (typeof value === 'object') return 'a table'
  return typeof value === 'string' ? 'other text' : `a ${typeof value}`
}

function keyText(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, part) =>
      typeof part === 'number' ? `${text}[${part}]` : text === '' ? String(part) : `${text}.${String(part)}`,
    '',
  )
}

/** The keys that a schema of an object takes. */
export function keysOf(schema: z.ZodType): readonly string[] {
  return 'shape' in schema ? Object.keys(schema.shape as object) : []
}

function lower(text: string): string {
  return `${text.slice(0, 1).toLowerCase()}${text.slice(1)}`
}

function* textsIn(value: unknown): Iterable<string> {
  if (typeof value === 'string') yield value
  else if (typeof value === 'object' && value !== null)
    for (const part of Object.values(value)) yield* textsIn(part)
}

function remember(redactor: Redactor, value: string, secret: SecretText): string {
  const isAddress = /^[A-Za-z][A-Za-z0-9+.-]*:/.test(value)
  if (isAddress) redactor.addAddress(value)
  if (typeof secret !== 'string' || !isAddress) redactor.add(value)
  return value
}
