import { z } from 'zod'
import type { RegisteredType, Registry } from './registry.js'

/** A schema of JSON Schema 2020-12. */
export type JsonSchema = Readonly<Record<string, unknown>>

/** The JSON Schema of composition files: for editors, which complete and check with it. */
export function compositionJsonSchema(registry: Registry): JsonSchema {
  const properties = registry.kinds().map((kind) => {
    const instances = {
      type: 'object',
      description: `${kind.name} services, by name`,
      propertyNames: { pattern: '^[A-Za-z0-9._-]+$' },
      additionalProperties: { anyOf: registry.types(kind).map(typeSchema) },
    }
    return [kind.table, instances] as const
  })
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'composition of services',
    type: 'object',
    properties: Object.fromEntries(properties),
    additionalProperties: false,
  }
}

/** `type` and the keys of one implementation. */
function typeSchema({ type, schema }: RegisteredType): JsonSchema {
  const { $schema: _, ...body } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Record<
    string,
    unknown
  >
  const required = Array.isArray(body['required']) ? body['required'] : []
  return {
    ...body,
    properties: { type: { const: type.tag }, ...(body['properties'] as object | undefined) },
    required: ['type', ...required],
  }
}
