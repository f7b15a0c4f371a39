import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkTypes, exampleLine, firstExample, folderOf, runExample } from './readme-example.js'
import { ROOT, workspacePackages } from './workspace.js'

/** A command has no code to show. */
const WITHOUT_EXAMPLE = new Set(['packages/cli/README.md'])
/** An example of a package stands at the top; the README of everything says first what it is and how to start. */
const LAST_OPENING_LINE = 12

const readmes = ['README.md', ...workspacePackages().map(({ folder }) => `${folder}/README.md`)]
const present = readmes.filter((readme) => existsSync(join(ROOT, readme)))
const examples = present
  .filter((readme) => !WITHOUT_EXAMPLE.has(readme))
  .map((readme) => {
    const text = readFileSync(join(ROOT, readme), 'utf8')
    return { readme, line: exampleLine(text), folder: folderOf(readme), code: firstExample(text) }
  })
const runnable = examples.flatMap(({ code, ...rest }) => (code === undefined ? [] : [{ ...rest, code }]))
const faults = checkTypes(runnable)

describe('READMEs', () => {
  it('every package has one, and so has the whole', () => {
    expect(readmes.filter((readme) => !present.includes(readme))).toEqual([])
  })

  it('each has an example', () => {
    expect(examples.filter(({ code }) => code === undefined).map(({ readme }) => readme)).toEqual([])
  })

  it('that of a package opens with its example', () => {
    const late = examples.filter(({ readme, line }) => readme !== 'README.md' && line > LAST_OPENING_LINE)
    expect(late.map(({ readme, line }) => `${readme}: line ${line}`)).toEqual([])
  })
})

describe.each(runnable.map((example, index) => ({ ...example, index })))(
  'the example of $readme',
  ({ index, ...example }) => {
    it('has the types it should', () => {
      expect(faults[index]).toEqual([])
    })

    it('asserts something', () => {
      expect(example.code).toMatch(/\bassert\b/)
    })

    it('runs', async () => {
      const { code, output } = await runExample(example)
      expect({ code, output: code === 0 ? '' : output }).toEqual({ code: 0, output: '' })
    })
  },
)

describe('the check itself', () => {
  it('takes the first block of TypeScript only', () => {
    const markdown = '# A\n\n```sh\nls\n```\n\n```ts\nconst a = 1\n```\n\n```ts\nconst b = 2\n```\n'
    expect(firstExample(markdown)).toBe('const a = 1\n')
    expect(exampleLine(markdown)).toBe(7)
    expect(firstExample('```js\n1\n```\n')).toBeUndefined()
  })

  it('refuses an example with wrong types', () => {
    const [wrong, right] = checkTypes([
      { folder: 'packages/fastcdc', code: "const a: number = 'text'\n" },
      { folder: 'packages/fastcdc', code: 'const a: number = 1\n' },
    ])
    expect(wrong?.join()).toContain("not assignable to type 'number'")
    expect(right).toEqual([])
  })

  it('notices an example that fails', async () => {
    const { code, output } = await runExample({
      folder: 'packages/fastcdc',
      code: "throw new Error('wrong')\n",
    })
    expect(code).toBe(1)
    expect(output).toContain('wrong')
  })
})
