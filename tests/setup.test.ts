import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkNode, runQuietly, SetupError, setUp } from '../scripts/setup.mjs'

const FILES = {
  'package.json': '{ "packageManager": "pnpm@10.0.0" }',
  'pnpm-lock.yaml': 'lockfileVersion: 9\n',
  'pnpm-workspace.yaml': 'packages: [packages/*]\n',
  'turbo.json': '{}',
  'tsconfig.base.json': '{}',
  'benchmarks/package.json': '{}',
  'packages/one/package.json': '{ "name": "one" }',
  'packages/one/tsup.config.ts': '',
  'packages/one/src/index.ts': 'export {}\n',
  'packages/one/src/generated/made.ts': 'export {}\n',
  'packages/one/test/one.test.ts': '',
  'packages/one/README.md': '# one\n',
  'packages/two/package.json': '{ "name": "two" }',
  'packages/two/proto/two.proto': 'syntax = "proto3";\n',
}

let root: string
let commands: string[]

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'neve-setup-'))
  for (const [file, content] of Object.entries(FILES)) write(file, content)
  commands = []
})

afterEach(() => rmSync(root, { recursive: true, force: true }))

describe('setup', () => {
  it('installs and builds the first time, with the package manager that the workspace names', async () => {
    expect(await steps()).toEqual(['install', 'build'])
    expect(commands).toEqual([
      'npx --yes pnpm@10.0.0 install --frozen-lockfile',
      'npx --yes pnpm@10.0.0 exec turbo run build',
    ])
  })

  it('does nothing the second time', async () => {
    await steps()
    commands = []
    expect(await steps()).toEqual([])
    expect(commands).toEqual([])
  })

  it('does nothing when only times have changed', async () => {
    await steps()
    utimesSync(join(root, 'packages/one/src/index.ts'), 1, 1)
    expect(await steps()).toEqual([])
  })

  it.each([
    'pnpm-lock.yaml',
    'pnpm-workspace.yaml',
    'package.json',
    'packages/two/package.json',
    'benchmarks/package.json',
  ])('installs and builds again when %s has changed', async (file) => {
    await steps()
    write(file, `${FILES[file as keyof typeof FILES]} `)
    expect(await steps()).toEqual(['install', 'build'])
    expect(await steps()).toEqual([])
  })

  it.each([
    'packages/one/src/index.ts',
    'packages/one/tsup.config.ts',
    'packages/two/proto/two.proto',
    'tsconfig.base.json',
  ])('only builds again when %s has changed', async (file) => {
    await steps()
    write(file, '// changed\n')
    expect(await steps()).toEqual(['build'])
    expect(await steps()).toEqual([])
  })

  it.each(['packages/one/src/added.ts', 'packages/one/src/deep/added.ts'])(
    'builds again when %s is new',
    async (file) => {
      await steps()
      write(file, '')
      expect(await steps()).toEqual(['build'])
    },
  )

  it('builds again when a source has gone or has another name', async () => {
    write('packages/one/src/more.ts', 'more\n')
    await steps()
    rmSync(join(root, 'packages/one/src/more.ts'))
    expect(await steps()).toEqual(['build'])
    write('packages/one/src/other.ts', 'more\n')
    expect(await steps()).toEqual(['build'])
  })

  it.each([
    'packages/one/README.md',
    'packages/one/test/one.test.ts',
    'packages/one/src/generated/made.ts',
    'packages/one/dist/index.js',
    'packages/one/node_modules/dependency/index.js',
  ])('does nothing when %s has changed', async (file) => {
    await steps()
    write(file, 'changed\n')
    expect(await steps()).toEqual([])
  })

  it('builds again when what was built has gone', async () => {
    await steps()
    rmSync(join(root, 'packages/one/dist'), { recursive: true })
    expect(await steps()).toEqual(['build'])
  })

  it('installs and builds again when the installed modules have gone', async () => {
    await steps()
    rmSync(join(root, 'node_modules'), { recursive: true })
    expect(await steps()).toEqual(['install', 'build'])
  })

  it('does nothing in a copy at another place', async () => {
    await steps()
    const copy = `${root}-copy`
    try {
      cpSync(root, copy, { recursive: true })
      expect(await steps({}, copy)).toEqual([])
    } finally {
      rmSync(copy, { recursive: true, force: true })
    }
  })

  it('repeats what failed, and only that', async () => {
    await expect(failing('turbo')).rejects.toThrow(SetupError)
    expect(await steps()).toEqual(['build'])
  })

  it('repeats all of it when the installation failed', async () => {
    await expect(failing('install')).rejects.toThrow(SetupError)
    expect(await steps()).toEqual(['install', 'build'])
  })

  it('takes a damaged stamp for none', async () => {
    await steps()
    write('node_modules/.neve-setup', '{ "install": ')
    expect(await steps()).toEqual(['install', 'build'])
  })

  it('can be told to leave everything as it is', async () => {
    expect(await steps({ NEVE_SETUP: 'skip' })).toEqual([])
  })
})

describe('a step of the setup', () => {
  const node = (code: string) => ({ message: 'trying', file: process.execPath, args: ['-e', code] })

  it('succeeds with its command', async () => {
    await runQuietly(node("require('node:fs').writeFileSync('made', 'here')"), root)
    expect(readFileSync(join(root, 'made'), 'utf8')).toBe('here')
  })

  it('names the command that failed and its exit code', async () => {
    await expect(runQuietly(node('process.exit(3)'), root)).rejects.toThrow(
      /process\.exit\(3\)` ended with exit code 3\.$/,
    )
  })

  it('names the command that could not be started', async () => {
    const command = { message: 'trying', file: join(root, 'no-such-program'), args: [] }
    await expect(runQuietly(command, root)).rejects.toThrow(/no-such-program` could not be started: .*ENOENT/)
  })
})

describe('the version of Node', () => {
  it.each(['20.19.0', '20.20.2', '22.0.0', '24.1.0'])('%s is new enough', (version) => {
    expect(() => checkNode(version)).not.toThrow()
  })

  it.each(['20.18.3', '18.20.0', '9.11.2'])('%s is refused in one sentence', (version) => {
    expect(() => checkNode(version)).toThrow(`Neve needs Node 20.19.0 or newer, and this is Node ${version}.`)
  })
})

async function steps(environment: NodeJS.ProcessEnv = {}, at = root): Promise<string[]> {
  return setUp({ root: at, environment, run: (command, folder) => record(command, folder) })
}

function failing(part: string): Promise<string[]> {
  return setUp({
    root,
    environment: {},
    run: async (command, folder) => {
      if (command.args.includes(part)) throw new SetupError('failed')
      await record(command, folder)
    },
  })
}

/** Stands in for the package manager: notes the command, and leaves what it would. */
async function record({ file, args }: { file: string; args: string[] }, folder: string): Promise<void> {
  commands.push([file, ...args].join(' '))
  if (args.includes('build')) mkdirSync(join(folder, 'packages/one/dist'), { recursive: true })
}

function write(file: string, content: string): void {
  const path = join(root, file)
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, content)
}
