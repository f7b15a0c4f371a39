import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkTypes, exampleLine, examplesIn, folderOf, runExample } from './readme-example.js'
import { filesBelow, ROOT, workspacePackages } from './workspace.js'

/** A command has no code to show. */
const WITHOUT_EXAMPLE = new Set([
  'packages/cli/README.md',
  'apps/daemon/README.md',
  'apps/mount/README.md',
  'apps/nar-bridge/README.md',
])
/** An example of a package stands at the top; the README of everything says first what it is and how to start. */
const LAST_OPENING_LINE = 12

const readmes = ['README.md', ...workspacePackages().map(({ folder }) => `${folder}/README.md`)]
const present = readmes.filter((readme) => existsSync(join(ROOT, readme)))
const shown = present
  .filter((readme) => !WITHOUT_EXAMPLE.has(readme))
  .map((readme) => {
    const text = readFileSync(join(ROOT, readme), 'utf8')
    return { readme, line: exampleLine(text), blocks: examplesIn(text) }
  })
const guides = filesBelow(join(ROOT, 'docs'))
  .filter((file) => file.endsWith('.md'))
  .map((file) => ({
    readme: `docs/${file}`,
    blocks: examplesIn(readFileSync(join(ROOT, 'docs', file), 'utf8')),
  }))
const examples = [
  ...shown.map(({ readme, blocks }) => ({
    readme,
    // Further down, a package's README may show fragments, which assert nothing; all others show whole programs only.
    blocks: readme === 'README.md' ? blocks : blocks.filter((code, index) => index === 0 || isProgram(code)),
  })),
  ...guides,
].flatMap(({ readme, blocks }) =>
  blocks.map((code, index) => ({ name: `${readme} #${index + 1}`, folder: folderOf(readme), code })),
)
const faults = checkTypes(examples)

describe('READMEs', () => {
  it('every package has one, and so has the whole', () => {
    expect(readmes.filter((readme) => !present.includes(readme))).toEqual([])
  })

  it('each has an example', () => {
    expect(shown.filter(({ blocks }) => blocks.length === 0).map(({ readme }) => readme)).toEqual([])
  })

  it('that of a package opens with its example', () => {
    const late = shown.filter(({ readme, line }) => readme !== 'README.md' && line > LAST_OPENING_LINE)
    expect(late.map(({ readme, line }) => `${readme}: line ${line}`)).toEqual([])
  })
})

describe.each(examples.map((example, index) => ({ ...example, index })))('$name', ({ index, ...example }) => {
  it('has the types it should', () => {
    expect(faults[index]).toEqual([])
  })

  // A suite defines tests, and runs only where a test runner collects them.
  if (example.code.includes('/contract')) return
  it('asserts something, and runs', async () => {
    expect(example.code).toMatch(/\bassert\b/)
    const { code, output } = await runExample(example)
    expect({ code, output: code === 0 ? '' : output }).toEqual({ code: 0, output: '' })
  })
})

function isProgram(code: string): boolean {
  return code.includes("from 'node:assert/strict'")
}

describe('the check itself', () => {
  it('takes blocks of TypeScript only', () => {
    const markdown = '# A\n\n```sh\nls\n```\n\n```ts\nconst a = 1\n```\n\n```ts\nconst b = 2\n```\n'
    expect(examplesIn(markdown)).toEqual(['const a = 1\n', 'const b = 2\n'])
    expect(exampleLine(markdown)).toBe(7)
    expect(examplesIn('```js\n1\n```\n')).toEqual([])
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
