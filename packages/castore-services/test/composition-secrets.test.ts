import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { CastoreError } from '@neve/castore-services'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import {
  addressText,
  BLOB_SERVICE,
  type Composition,
  defaultRegistry,
  parseComposition,
  Redactor,
  type Registry,
  type SecretText,
  secretText,
} from '@neve/castore-services/composition'
import { afterAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { rejection } from './composition-fixture.js'

const CANARY = 'sk-canary/+="1'
const folder = mkdtempSync(join(tmpdir(), 'neve-secrets-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Everything that a person, a log or a program could get to see of something. */
function everythingOf(value: unknown): string {
  const parts = [inspect(value, { depth: 20, showHidden: true, maxStringLength: null }), String(value)]
  parts.push(JSON.stringify(value) ?? '')
  if (value instanceof Error) parts.push(value.stack ?? '', everythingOf(value.cause ?? ''))
  return parts.join('\n')
}

function expectNoSecret(value: unknown, secret = CANARY): void {
  const shown = everythingOf(value)
  for (const form of [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)]) {
    expect(shown).not.toContain(form)
  }
}

/** A registry with a type that takes a secret, and fails with it in every place that an error has. */
function leakyRegistry(got: string[] = []): Registry {
  const registry = defaultRegistry()
  const schema = z.object({
    url: secretText().optional(),
    token: secretText().optional(),
    options: z.record(z.string(), secretText()).optional(),
    fails: z.enum(['error', 'cause', 'property', 'frozen', 'text', 'aggregate', 'later']).optional(),
  })
  registry.register(BLOB_SERVICE, {
    tag: 'leaky',
    schema,
    async build({ url, token, options = {}, fails }, context) {
      const texts: string[] = []
      for (const text of [url, token, ...Object.values(options)]) {
        if (text !== undefined) texts.push(await context.secret(text))
      }
      got.push(...texts)
      const all = texts.join(' ')
      switch (fails) {
        case 'error':
          throw new CastoreError('unavailable', `cannot connect with ${all}`)
        case 'cause':
          throw new Error('cannot connect', { cause: new Error(`to ${all}`, { cause: { text: all } }) })
        case 'property':
          throw Object.assign(new Error('cannot connect'), { request: { headers: new Map([['auth', all]]) } })
        case 'frozen':
          throw Object.freeze(new Error(`cannot connect with ${all}`))
        case 'text':
          throw `cannot connect with ${all}`
        case 'aggregate':
          throw new AggregateError([new Error(all), new Error('other')], 'cannot connect')
        case 'later':
          context.report({ store: 'far', error: new Error(all) })
          return new MemoryBlobService()
        default:
          return new MemoryBlobService()
      }
    },
  })
  return registry
}

const written = (secret: string) => `token = ${JSON.stringify(secret)}`
const fileOf = (secret: string) => {
  writeFileSync(join(folder, 'secret'), `${secret}\n`)
  return `token = { file = "${join(folder, 'secret')}" }`
}

describe('W11 secrets', () => {
  it('come from the text, the environment, or a file', async () => {
    const got: string[] = []
    writeFileSync(join(folder, 'token'), 'from file\r\n')
    const composition = parseComposition(
      `[blobservices.a]
type = "leaky"
url = "x://written"
token = { env = "TOKEN" }
options = { key = { file = "${join(folder, 'token')}" } }
`,
      { registry: leakyRegistry(got), environment: { TOKEN: 'from environment' } },
    )
    await composition.build(BLOB_SERVICE, 'a')
    expect(got).toEqual(['x://written', 'from environment', 'from file'])
  })

  it('are looked for when the instance is built, not before', async () => {
    const environment: Record<string, string> = {}
    const got: string[] = []
    const composition = parseComposition('[blobservices.a]\ntype = "leaky"\ntoken = { env = "TOKEN" }\n', {
      registry: leakyRegistry(got),
      environment,
    })
    environment['TOKEN'] = 'late'
    await composition.build(BLOB_SERVICE, 'a')
    expect(got).toEqual(['late'])
  })

  const large = join(folder, 'large')
  writeFileSync(large, 'x'.repeat(70_000))
  writeFileSync(join(folder, 'empty'), '\n')
  writeFileSync(join(folder, 'binary'), new Uint8Array([0xff]))
  it.each<[string, string]>([
    ['{ env = "NOT_SET" }', 'environment variable NOT_SET is not set'],
    ['{ env = "EMPTY" }', 'environment variable EMPTY is not set'],
    [`{ file = "${folder}/nothing" }`, `cannot read secret from file ${folder}/nothing: ENOENT`],
    [`{ file = "${folder}" }`, 'cannot read secret from file'],
    [`{ file = "${large}" }`, 'it has 70000 bytes, expected at most 65536'],
    [`{ file = "${folder}/empty" }`, 'it is empty'],
    [`{ file = "${folder}/binary" }`, 'cannot read secret from file'],
  ])('that are not there: %s', async (token, message) => {
    const composition = parseComposition(`[blobservices.a]\ntype = "leaky"\ntoken = ${token}\n`, {
      registry: leakyRegistry(),
      environment: { EMPTY: '' },
    })
    const error = await rejection(composition.build(BLOB_SERVICE, 'a'))
    expect(error).toMatchObject({ code: 'failed', instance: 'a', cause: { code: 'secret' } })
    expect((error as Error).message).toContain(message)
  })

  const EXPECTED = 'token: expected text, { env = "NAME" } or { file = "/path" }, got'
  it.each([
    ['{ env = "A B" }', 'token.env: expected the name of an environment variable'],
    ['{ env = "" }', 'token.env: expected the name of an environment variable'],
    ['{ file = "relative" }', 'token.file: expected an absolute path'],
    ['{ env = "A", file = "/b" }', EXPECTED],
    ['{ environment = "A" }', EXPECTED],
    ['{}', EXPECTED],
    ['7', EXPECTED],
    ['["A"]', EXPECTED],
  ])('that are not said right are refused: %s', (token, message) => {
    const text = `[blobservices.a]\ntype = "leaky"\ntoken = ${token}\n`
    expect(() => parseComposition(text, { registry: leakyRegistry() })).toThrow(
      `line 3: blobservices.a.${message}`,
    )
  })

  const ways: readonly (readonly [string, string])[] = [
    ['written', written(CANARY)],
    ['in the environment', 'token = { env = "CANARY" }'],
    ['in a file', fileOf(CANARY)],
    ['in options', `options = { secret_access_key = ${JSON.stringify(CANARY)} }`],
    ['the password of an address', `url = "s3://key:${encodeURIComponent(CANARY)}@bucket/x"`],
    ['in the query of an address', `url = "s3://bucket/x?secret_access_key=${encodeURIComponent(CANARY)}"`],
    ['in an address that is secret itself', 'url = { env = "ADDRESS" }'],
  ]
  const failures = ['error', 'cause', 'property', 'frozen', 'text', 'aggregate'] as const
  const cases = ways.flatMap(([way, line]) => failures.map((fails) => [way, fails, line] as const))

  function compositionWith(line: string, fails: string, troubles: unknown[] = []): Composition {
    return parseComposition(`[blobservices.a]\ntype = "leaky"\nfails = "${fails}"\n${line}\n`, {
      registry: leakyRegistry(),
      environment: { CANARY, ADDRESS: `s3://key:${encodeURIComponent(CANARY)}@bucket` },
      onTrouble: (trouble) => troubles.push(trouble),
    })
  }

  it.each(cases)('%s are not shown by a builder that fails with them as %s', async (_, fails, line) => {
    const composition = compositionWith(line, fails)
    expectNoSecret(composition)
    expectNoSecret(composition.validate())
    expectNoSecret(composition.instances())
    const error = await rejection(composition.build(BLOB_SERVICE, 'a'))
    expect(error).toMatchObject({ code: 'failed', instance: 'a' })
    expect((error as Error).message).toContain('cannot connect')
    expectNoSecret(error)
  })

  it.each(ways)('%s are not shown in reported trouble', async (_, line) => {
    const troubles: unknown[] = []
    await compositionWith(line, 'later', troubles).build(BLOB_SERVICE, 'a')
    expect(troubles).toHaveLength(1)
    expectNoSecret(troubles)
  })

  it('a transient failure stays one', async () => {
    const error = await rejection(compositionWith(written(CANARY), 'error').build(BLOB_SERVICE, 'a'))
    expect(error).toMatchObject({ cause: { code: 'unavailable', message: 'cannot connect with …' } })
    expect((error as Error).cause).toBeInstanceOf(CastoreError)
  })

  const bad = JSON.stringify(CANARY)
  it.each([
    `[blobservices.a]\ntype = "leaky"\ntoken = ${bad}\nx = ${bad}`,
    `[blobservices.a]\ntype = "leaky"\ntoken = [${bad}]`,
    `[blobservices.a]\ntype = "leaky"\ntoken = { env = ${bad} }`,
    `[blobservices.a]\ntype = "leaky"\ntoken = ${bad} ${bad}`,
    `[blobservices.a]\ntype = "leaky"\ntoken = { file = ${bad} }`,
    `[blobservices.a]\ntype = "leaky"\nfails = ${bad}`,
    `[blobservices.a]\ntype = "grpc"\nurl = "grpc+http://user:${encodeURIComponent(CANARY)}@host"`,
    `[blobservices.a]\ntype = "grpc"\nurl = "grpc+http://host?token=${encodeURIComponent(CANARY)}"`,
    `[blobservices.a]\ntype = "readonly"\nstore = "grpc+http://host?token=${encodeURIComponent(CANARY)}"`,
    `[blobservices.a]\ntype = "readonly"\nstore = "leaky:?token=${encodeURIComponent(CANARY)}"`,
    `[blobservices.a]\ntype = "memory"\ntoken = ${bad.slice(0, -1)}`,
  ])('are not shown by a refusal of %j', (text) => {
    let error: unknown
    try {
      parseComposition(text, { registry: leakyRegistry(), file: 'stores.toml' })
    } catch (thrown) {
      error = thrown
    }
    expect(error).toMatchObject({ code: 'invalid-config', location: { file: 'stores.toml' } })
    expectNoSecret(error)
  })

  it('types of somebody else get them the same way', () => {
    const schema = z.object({ url: addressText((text) => new URL(text)) })
    const accepts = (url: SecretText) => schema.safeParse({ url }).success
    expect(accepts('memory:')).toBe(true)
    expect(accepts('memory')).toBe(false)
    expect(accepts({ env: 'STORE_URL' })).toBe(true)
  })
})

describe('Redactor', () => {
  it('takes out secrets in every form, the longest first', () => {
    const redactor = new Redactor()
    redactor.add('abc')
    redactor.add('abc def')
    redactor.add('')
    redactor.add('1')
    redactor.addAddress('s3://user:pa%20ss@host/x?key=va%2Flue&flag=true')
    expect(
      redactor.text('abc, abc def, abc%20def, user, pa ss, pa%20ss, va/lue, va%2Flue, true, 1, host'),
    ).toBe('…, …, …, …, …, …, …, …, true, 1, host')
  })

  it('leaves errors without secrets alone', () => {
    const redactor = new Redactor()
    redactor.add('secret')
    const error = new Error('nothing to see')
    expect(redactor.error(error)).toBe(error)
    const circular = Object.assign(new Error('a secret'), { self: undefined as unknown })
    circular.self = circular
    expect(redactor.error(circular)).toBe(circular)
    expect(circular.message).toBe('a …')
    expect(circular.stack).not.toContain('secret')
  })

  it('survives what cannot be read', () => {
    const redactor = new Redactor()
    redactor.add('secret')
    const error = Object.defineProperty(new Error('x'), 'trap', {
      enumerable: true,
      get() {
        throw new Error('secret')
      },
    })
    expect(inspect(redactor.error(error), { showHidden: true })).not.toContain('secret')
    redactor.add('\ud800abc')
    redactor.addAddress('%%%?%=%&&==#')
    expect(redactor.text('%E0 fine')).toBe('%E0 fine')
  })
})
