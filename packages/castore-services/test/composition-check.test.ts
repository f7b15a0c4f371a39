import { ConfigError, checkComposition, parseComposition } from '@neve/castore-services/composition'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

const messages = (text: string): string[] =>
  checkComposition(text, { file: 's.toml' }).findings.map(({ message }) => message)

describe('checkComposition', () => {
  it('tells every mistake, in the order of the lines', () => {
    const text = `
[blobservices.default]
type = "cache"
naer = "disk"
far = 7

[blobservices.disk]
type = "memory"
size = 1
colour = "red"

[blobservices."a b"]
type = "memory"

[directoryservices.default]
type = "oracle"

[directoryservices.other]
type = "readonly"
store = "memory+x:"

[fileservices.default]
type = "memory"
`
    const found = messages(text)
    expect(found).toEqual([
      expect.stringMatching(/^s\.toml:2: blobservices\.default\.near: required key 'near' is missing/),
      expect.stringMatching(
        /^s\.toml:4: blobservices\.default\.naer: unknown key 'naer', expected one of near, far/,
      ),
      expect.stringMatching(/^s\.toml:5: blobservices\.default\.far: .*got a number$/),
      "s.toml:9: blobservices.disk.size: unknown key 'size', expected none",
      "s.toml:10: blobservices.disk.colour: unknown key 'colour', expected none",
      expect.stringMatching(/^s\.toml:12: .*invalid instance name "a b"/),
      expect.stringMatching(/^s\.toml:16: directoryservices\.default\.type: Unknown type: oracle/),
      expect.stringMatching(/^s\.toml:20: .*directoryservices\.other\.store: unknown scheme 'memory\+x:'/),
      expect.stringMatching(/^s\.toml:22: fileservices: unknown table 'fileservices'/),
    ])
  })

  it('tells what is wrong with the references, but not of an instance that is there and cannot be read', () => {
    const text = `
[blobservices.default]
type = "cache"
near = "broken"
far = "nowhere"

[blobservices.broken]
type = "memory"
x = 1

[directoryservices.default]
type = "readonly"
store = "default"

[directoryservices.spare]
type = "memory"
`
    const { findings } = checkComposition(text)
    expect(findings).toEqual([
      {
        severity: 'error',
        line: 5,
        message: expect.stringContaining('store not found: nowhere (blob:default → far → blob:nowhere)'),
      },
      { severity: 'error', line: 9, message: expect.stringContaining("unknown key 'x'") },
      { severity: 'error', line: 13, message: expect.stringContaining('recursion not allowed') },
      { severity: 'warning', line: 15, message: expect.stringContaining('directory:spare is not used') },
    ])
  })

  it('plans what would be built, secrets hidden', () => {
    const text = `
[blobservices.root]
type = "mirror"
stores = ["&disk", "verify:?store=objectstore%2Bs3%3A%2F%2Fbucket%3Faws_secret_access_key%3Dhush", "root"]

[blobservices.disk]
type = "embedded"
path = "/var/lib/neve"

[blobservices.lonely]
type = "readonly"
store = "gone"
`
    const { plans } = checkComposition(text)
    expect(JSON.stringify(plans)).not.toContain('hush')
    const part = { kind: 'blob' }
    expect(plans).toEqual([
      {
        kind: 'blob',
        name: 'root',
        type: 'mirror',
        address: undefined,
        parts: [
          {
            ...part,
            key: 'stores[0]',
            name: 'disk',
            plan: { kind: 'blob', name: 'disk', type: 'embedded', address: undefined, parts: [] },
          },
          {
            ...part,
            key: 'stores[1]',
            name: 'root.stores[1]',
            plan: {
              kind: 'blob',
              name: 'root.stores[1]',
              type: 'verify',
              address: 'verify:?…',
              parts: [
                {
                  ...part,
                  key: 'store',
                  name: 'root.stores[1].store',
                  plan: {
                    kind: 'blob',
                    name: 'root.stores[1].store',
                    type: 'objectstore',
                    address: 'objectstore+s3://bucket?…',
                    parts: [],
                  },
                },
              ],
            },
          },
          { ...part, key: 'stores[2]', name: 'root', plan: 'recursion' },
        ],
      },
      {
        kind: 'blob',
        name: 'lonely',
        type: 'readonly',
        address: undefined,
        parts: [{ ...part, key: 'store', name: 'gone', plan: 'missing' }],
      },
    ])
  })

  it('tells what is shared on every level once, and no more than 64 levels', () => {
    const table = (index: number, next: string): string =>
      `[blobservices.${index === 0 ? 'root' : `s${index}`}]\ntype = "cache"\nnear = "${next}"\nfar = "${next}"\n`
    const levels = 3000
    const text = Array.from({ length: levels }, (_, index) =>
      table(index, index === levels - 1 ? 'memory:' : `s${index + 1}`),
    ).join('')
    const { findings, plans } = checkComposition(text)
    expect(findings).toEqual([])
    expect(plans).toHaveLength(1)
    let depth = 0
    for (let plan = plans[0]!; ; depth++) {
      expect(plan.parts[1]!.plan).toBe(depth === 63 ? 'deeper' : 'above')
      const [first] = plan.parts
      if (typeof first!.plan === 'string') break
      plan = first!.plan
    }
    expect(depth).toBe(63)
  })

  it('finds nothing in what is right, and tells the line of what is no TOML', () => {
    expect(checkComposition('[blobservices.default]\ntype = "memory"\n')).toEqual({
      findings: [],
      plans: [{ kind: 'blob', name: 'default', type: 'memory', address: undefined, parts: [] }],
    })
    const { findings, plans } = checkComposition('a = 1\nb = = 2\n', { file: 's.toml' })
    expect(findings).toEqual([{ severity: 'error', line: 2, message: expect.stringMatching(/^s\.toml:2: /) }])
    expect(plans).toEqual([])
  })

  it('finds an error exactly where reading the file throws one', () => {
    const value = fc.oneof(
      fc.constantFrom('"memory"', '"cache"', '"a"', '"default"', '"memory:"', '7', '[]', '{ env = "X" }'),
    )
    const key = fc.constantFrom('type', 'near', 'far', 'stores', 'path', 'x y', 'store')
    const table = fc.record({
      header: fc.constantFrom(
        'blobservices.default',
        'blobservices.a',
        'directoryservices.a',
        'x',
        'blobservices',
      ),
      keys: fc.uniqueArray(fc.tuple(key, value), { maxLength: 4, selector: ([name]) => name }),
    })
    fc.assert(
      fc.property(fc.uniqueArray(table, { maxLength: 4, selector: ({ header }) => header }), (tables) => {
        const text = tables
          .map(({ header, keys }) =>
            [`[${header}]`, ...keys.map(([name, given]) => `"${name}" = ${given}`)].join('\n'),
          )
          .join('\n')
        let refused = false
        try {
          parseComposition(text)
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError)
          refused = true
        }
        const readingErrors = checkComposition(text).findings.filter(
          ({ severity, message }) => severity === 'error' && !/not found|recursion/.test(message),
        )
        expect(readingErrors.length > 0).toBe(refused)
      }),
    )
  })
})
