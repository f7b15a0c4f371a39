import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'
import { filesBelow, ROOT, workspacePackages } from './workspace.js'

const documents = [
  'README.md',
  'CONTRIBUTING.md',
  ...filesBelow(join(ROOT, 'docs')).map((file) => `docs/${file}`),
  ...workspacePackages().map(({ folder }) => `${folder}/README.md`),
].filter((file) => file.endsWith('.md') && existsSync(join(ROOT, file)))

it.each(documents)('the links in %s lead somewhere', (file) => {
  const links = [...readFileSync(join(ROOT, file), 'utf8').matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].map(
    ([, link]) => link!,
  )
  const local = links.filter((link) => !/^[a-z]+:/.test(link))
  expect(local.filter((link) => !existsSync(join(ROOT, dirname(file), link)))).toEqual([])
})

it('the map names files that exist', () => {
  const rows = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8').matchAll(
    /^\|[^|]+\| *([a-z-]+) *\| *(`[^|]+) *\|$/gm,
  )
  const named = [...rows].flatMap(([, name, cell]) =>
    [...cell!.matchAll(/`([^`]+)`/g)].map(([, path]) =>
      path === 'proto/' ? `packages/${name}/proto` : `packages/${name}/src/${path}`,
    ),
  )
  expect(named.length).toBeGreaterThan(20)
  expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
})
