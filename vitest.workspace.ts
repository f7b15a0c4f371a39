import { existsSync, readdirSync } from 'node:fs'

/** The test projects: every package that has tests, and the workspace's own. */
export const projects = [
  ...readdirSync(new URL('./packages', import.meta.url))
    .filter((name) => existsSync(new URL(`./packages/${name}/test`, import.meta.url)))
    .sort()
    .map((name) => ({
      extends: true as const,
      test: { name, root: `./packages/${name}`, include: ['test/**/*.test.ts'] },
    })),
  { extends: true as const, test: { name: 'workspace', root: '.', include: ['tests/**/*.test.ts'] } },
]
