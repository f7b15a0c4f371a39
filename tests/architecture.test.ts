import { readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { basename, join, posix } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type SourceScan, scanSource } from './source-scan.js'
import { filesBelow, ROOT, type WorkspacePackage, workspacePackages } from './workspace.js'

/** Who may import whom, directly; what stands below an allowed package is allowed too. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  'castore-model': [],
  fastcdc: [],
  'nix-compat': [],
  'embedded-store': [],
  nar: ['nix-compat'],
  'castore-services': ['castore-model', 'fastcdc', 'embedded-store'],
  'store-pathinfo': ['castore-services', 'nar', 'nix-compat', 'embedded-store'],
  'fs-fuse': ['castore-services'],
  'nar-bridge': ['store-pathinfo'],
  cli: ['nar-bridge', 'store-pathinfo', 'fs-fuse'],
}
const RUN_IN_BROWSERS = new Set(['castore-model', 'fastcdc', 'nix-compat', 'nar'])
const MAX_LINES = 400

const packages = workspacePackages()
const scans = new Map<string, SourceScan>()

describe('import arrows', () => {
  it('there is a rule for every package', () => {
    const names = packages.filter(({ folder }) => folder.startsWith('packages/')).map(shortName)
    expect(names.filter((name) => ARROWS[name] === undefined)).toEqual([])
    expect(names.length).toBeGreaterThan(6)
  })

  it.each(packages)('$folder depends only on what stands below it', (member) => {
    const ours = Object.keys({ ...member.manifest.dependencies, ...member.manifest.devDependencies })
      .filter((name) => name.startsWith('@neve/'))
      .map((name) => name.slice('@neve/'.length))
    expect(ours.filter((name) => !allowed(member).has(name))).toEqual([])
  })

  it.each(packages)('$folder imports only what stands below it, and only what it declares', (member) => {
    const { dependencies, peerDependencies } = member.manifest
    const declared = new Set(Object.keys({ ...dependencies, ...peerDependencies }))
    const faults = importsOf(member).flatMap(({ file, module }) => {
      if (module.startsWith('.')) {
        const target = posix.normalize(posix.join(posix.dirname(file), module))
        return target.startsWith('src/') ? [] : [`${file}: ${module} leaves the source folder`]
      }
      if (module.startsWith('#') || isBuiltin(module)) return []
      const name = packageName(module)
      if (name.startsWith('@neve/') && !allowed(member).has(name.slice('@neve/'.length))) {
        return [`${file}: ${module} does not stand below`]
      }
      return declared.has(name) ? [] : [`${file}: ${module} is not among the dependencies`]
    })
    expect(faults).toEqual([])
  })
})

describe('browser packages', () => {
  const browserPackages = packages.filter((member) => RUN_IN_BROWSERS.has(shortName(member)))

  it.each(browserPackages)('$folder imports node: only in *.node.ts', (member) => {
    const faults = importsOf(member).filter(
      ({ file, module }) => !file.endsWith('.node.ts') && (isBuiltin(module) || module.endsWith('.node.js')),
    )
    expect(faults).toEqual([])
  })

  it.each(browserPackages)('$folder uses globals of Node only in *.node.ts', (member) => {
    const faults = member.sources
      .filter((file) => !file.endsWith('.node.ts'))
      .flatMap((file) => scanned(member, file).nodeGlobals.map((name) => `${file}: ${name}`))
    expect(faults).toEqual([])
  })
})

describe('files', () => {
  it.each(packages)('$folder has no default export', (member) => {
    expect(member.sources.filter((file) => scanned(member, file).hasDefaultExport)).toEqual([])
  })

  it('none is a drawer for anything', () => {
    expect(ourFiles().filter((file) => /^(utils?|helpers?|common|misc)\./.test(basename(file)))).toEqual([])
  })

  it('all have names in kebab-case', () => {
    expect(ourFiles().filter((file) => !/^[a-z0-9]+([-.][a-z0-9]+)*$/.test(basename(file)))).toEqual([])
  })

  it(`none has more than ${MAX_LINES} lines`, () => {
    const long = ourFiles()
      .filter((file) => !file.includes('/test/'))
      .map((file) => ({ file, lines: readFileSync(join(ROOT, file), 'utf8').split('\n').length - 1 }))
      .filter(({ lines }) => lines > MAX_LINES)
    expect(long).toEqual([])
  })
})

describe('the scan itself', () => {
  it('sees every way of naming a module', () => {
    const source = `
      import a from 'static'
      import type { B } from 'type-only'
      import 'effect'
      export { c } from 're-export'
      export * from 'star'
      const d = await import('dynamic')
      type E = import('import-type').E
    `
    const all = ['static', 'type-only', 'effect', 're-export', 'star', 'dynamic', 'import-type']
    expect(scanSource(source).modules).toEqual(all)
  })

  it.each(['export default 1', 'export default class {}', 'const a = 1; export { a as default }'])(
    'sees the default export in %s',
    (source) => {
      expect(scanSource(source).hasDefaultExport).toBe(true)
    },
  )

  it.each(['Buffer.from([])', 'new Buffer(1)', 'process.env', "require('x')", 'f(Buffer)'])(
    'sees the global of Node in %s',
    (source) => {
      expect(scanSource(source).nodeGlobals).toHaveLength(1)
    },
  )

  it.each(['new ArrayBuffer(1)', 'x.process()', 'interface A { process: number }', '// Buffer.from'])(
    'sees no global of Node in %s',
    (source) => {
      expect(scanSource(source).nodeGlobals).toEqual([])
    },
  )
})

function shortName({ folder }: WorkspacePackage): string {
  return basename(folder)
}

/** Applications may import everything that is not an application. */
function allowed(member: WorkspacePackage): ReadonlySet<string> {
  if (member.folder.startsWith('apps/')) return new Set(Object.keys(ARROWS))
  const below = new Set<string>()
  const add = (name: string) => {
    below.add(name)
    for (const next of ARROWS[name] ?? []) add(next)
  }
  for (const name of ARROWS[shortName(member)] ?? []) add(name)
  return below
}

function importsOf(member: WorkspacePackage) {
  return member.sources.flatMap((file) => scanned(member, file).modules.map((module) => ({ file, module })))
}

function scanned({ folder }: WorkspacePackage, file: string): SourceScan {
  const path = join(ROOT, folder, file)
  let scan = scans.get(path)
  if (scan === undefined) {
    scan = scanSource(readFileSync(path, 'utf8'), file)
    scans.set(path, scan)
  }
  return scan
}

function isBuiltin(module: string): boolean {
  return module.startsWith('node:') || builtinModules.includes(module)
}

function packageName(module: string): string {
  return module
    .split('/')
    .slice(0, module.startsWith('@') ? 2 : 1)
    .join('/')
}

/** Every TypeScript and JavaScript file that a person wrote, relative to the root. */
function ourFiles(): readonly string[] {
  const folders = [
    'scripts',
    'tests',
    ...packages.flatMap(({ folder }) => ['src', 'test', 'scripts'].map((name) => `${folder}/${name}`)),
  ]
  return folders
    .flatMap((folder) => filesBelow(join(ROOT, folder)).map((file) => `${folder}/${file}`))
    .filter((file) => /\.m?ts$|\.mjs$/.test(file) && !file.includes('/generated/'))
}
