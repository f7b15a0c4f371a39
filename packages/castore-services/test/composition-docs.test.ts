import { readFileSync } from 'node:fs'
import { compositionJsonSchema, defaultRegistry, parseComposition } from '@neve/castore-services/composition'
import { parse } from 'smol-toml'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'

const guide = readFileSync(new URL('../../../docs/composition.md', import.meta.url), 'utf8')
const blocks = [...guide.matchAll(/^```toml\n(.*?)^```$/gms)].map(([, text]) => text!)
const registry = defaultRegistry()

describe('the examples of TOML in docs/composition.md', () => {
  it('are there', () => {
    expect(blocks.length).toBeGreaterThan(2)
  })

  it.each(blocks.map((text, index) => [index + 1, text] as const))(
    '#%i is read, and has no faults',
    (_, text) => {
      const composition = parseComposition(text, { registry })
      expect(composition.validate().filter(({ severity }) => severity === 'error')).toEqual([])
    },
  )

  it.each(blocks.map((text, index) => [index + 1, text] as const))(
    '#%i is accepted by the JSON Schema',
    (_, text) => {
      const schema = z.fromJSONSchema(
        compositionJsonSchema(registry) as Parameters<typeof z.fromJSONSchema>[0],
      )
      expect(schema.safeParse(parse(text)).error).toBeUndefined()
    },
  )
})

it('the guide names every type with its keys', () => {
  const rows = [...guide.matchAll(/^\| `([a-z]+)` +\|.*$/gm)]
  for (const kind of registry.kinds()) {
    for (const { type, schema } of registry.types(kind)) {
      if (type.tag === 'sled' || type.tag === 'redb') continue
      const [row] = rows.find(([, tag]) => tag === type.tag) ?? ['']
      expect(row).toContain(kind.name)
      const keys = Object.keys((schema as z.ZodObject).shape)
      expect(keys.filter((key) => !row.includes(`\`${key}\``))).toEqual([])
    }
  }
})
