import { z } from 'zod'
import { ConfigError } from './errors.js'
import type { Kind } from './kind.js'

/** A value that names another instance (spec 04 section 8). */
export type ReferenceTarget =
  | { readonly form: 'name' | 'explicit'; readonly name: string }
  | { readonly form: 'address'; readonly address: string }

/** A reference of a type's configuration: which kind, under which key, and what is written there. */
export interface Reference<S = unknown> {
  readonly kind: Kind<S>
  /** The key, for messages: `near`, `stores[1]`. */
  readonly key: string
  readonly value: string
}

const NAME = /^[A-Za-z0-9._-]+$/
// Without flags, so that it is good for JSON Schema.
const REFERENCE = /^(?:&?[A-Za-z0-9._-]+|[A-Za-z][A-Za-z0-9+.-]*:\S*)$/
const EXPECTED = 'expected the name of an instance, &name or an address'

/** Schema of a reference: `name`, `&name` or an address such as `memory:`. */
export const reference = (): z.ZodString =>
  z.string({ error: EXPECTED }).regex(REFERENCE, { error: EXPECTED })

/** Whether an instance may be called that. */
export function isInstanceName(name: string): boolean {
  return NAME.test(name)
}

/** @throws ConfigError when no instance may be called that */
export function checkInstanceName(name: string): void {
  if (isInstanceName(name)) return
  throw new ConfigError(
    `invalid instance name ${JSON.stringify(name.slice(0, 80))}, expected letters, digits and . _ -`,
  )
}

/**
 * Reads a reference.
 *
 * @throws ConfigError when it is none
 */
export function parseReference(value: string): ReferenceTarget {
  if (NAME.test(value)) return { form: 'name', name: value }
  if (value.startsWith('&') && NAME.test(value.slice(1))) return { form: 'explicit', name: value.slice(1) }
  if (REFERENCE.test(value)) return { form: 'address', address: value }
  throw new ConfigError(EXPECTED)
}
