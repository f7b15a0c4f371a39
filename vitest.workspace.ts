import { existsSync, readdirSync } from 'node:fs'

/** The test projects: every package and app that has tests, and the workspace's own. */
export const projects = [
  ...['packages', 'apps'].flatMap((parent) =>
    readdirSync(new URL(`./${parent}`, import.meta.url))
      .filter((name) => existsSync(new URL(`./${parent}/${name}/test`, import.meta.url)))
      .sort()
      .map((name) => ({
        extends: true as const,
        test: {
          name: parent === 'apps' ? `app-${name}` : name,
          root: `./${parent}/${name}`,
          include: ['test/**/*.test.ts'],
        },
      })),
  ),
  { extends: true as const, test: { name: 'workspace', root: '.', include: ['tests/**/*.test.ts'] } },
]
