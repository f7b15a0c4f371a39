import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

it('the README shows the backend that is tested here', () => {
  const example = readFileSync(new URL('own-backend.test.ts', import.meta.url), 'utf8')
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  expect(readme).toContain(`\`\`\`js\n${example}\`\`\``)
})
