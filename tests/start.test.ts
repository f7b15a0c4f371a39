import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeNixbase32 } from '../packages/nix-compat/dist/index.js'
import { plainNar, plainStorePath } from './plain-nar.js'
import { type ProcessResult, runProcess } from './run-process.js'
import { filesBelow, ROOT } from './workspace.js'

const SAMPLE = join(ROOT, 'samples/hello-neve')
const nar = plainNar(SAMPLE)
const narHash = `sha256-${createHash('sha256').update(nar).digest('base64')}`
const storePath = plainStorePath(nar, 'hello-neve')

let scratch: string
let first: ProcessResult
let second: ProcessResult

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'neve-start-'))
  first = await start()
  second = await start()
})

afterAll(() => rmSync(scratch, { recursive: true, force: true }))

describe('npm start', () => {
  it('reports success, twice', () => {
    expect(first).toMatchObject({ code: 0 })
    expect(second).toMatchObject({ code: 0 })
  })

  it('prints the store path that Nix gives the sample', () => {
    expect(field(first, 'Store path')).toBe(storePath)
    expect(field(second, 'Store path')).toBe(storePath)
  })

  it('proves the NAR hash', () => {
    expect(first.stdout).toContain(`\nNAR hash verified: ${narHash}\n`)
    expect(second.stdout).toContain(`\nNAR hash verified: ${narHash}\n`)
    expect(field(first, 'As a NAR')).toBe(`${nar.length.toLocaleString('en-US')} bytes, ${narHash}`)
  })

  it('counts what is in the sample', () => {
    const files = filesBelow(SAMPLE).filter((file) => lstatSync(join(SAMPLE, file)).isFile())
    const contents = files.map((file) => readFileSync(join(SAMPLE, file)))
    const distinct = [...new Map(contents.map((content) => [content.toString('hex'), content])).values()]
    const bytes = sum(contents)
    const saved = bytes - sum(distinct)
    expect(saved).toBeGreaterThan(0)
    expect(field(first, 'Contents')).toMatch(
      new RegExp(`^${files.length} files, .*; ${bytes.toLocaleString('en-US')} bytes$`),
    )
    expect(field(first, 'Kept once')).toMatch(
      new RegExp(`^${distinct.length} different files, .*saves ${saved.toLocaleString('en-US')} bytes`),
    )
  })

  it('writes the sample only once', () => {
    expect(field(first, 'Written now')).toMatch(/^[\d,]+ new bytes/)
    expect(field(second, 'Written now')).toBe('nothing: all of it was in the store already')
  })

  it('lists the tree', () => {
    for (const file of filesBelow(SAMPLE)) expect(first.stdout).toContain(file.split('/').at(-1))
    expect(first.stdout).toMatch(/^ +link +hi -> hello-neve$/m)
    expect(first.stdout).toMatch(/^ +exec +\d+ +hello-neve$/m)
  })

  it('names the root by a digest', () => {
    expect(field(first, 'Root digest')).toMatch(/^blake3-[A-Za-z0-9+/]{43}=$/)
    expect(field(second, 'Root digest')).toBe(field(first, 'Root digest'))
  })

  it('ends with commands that work', async () => {
    const commands = [...first.stdout.matchAll(/^ {2}npm start -- (.*)$/gm)].map(([, command]) => command!)
    expect(commands.length).toBeGreaterThan(1)
    mkdirSync(join(scratch, 'own'))
    writeFileSync(join(scratch, 'own/file'), 'mine\n')
    for (const command of commands) {
      const result = await start(...command.replace('PATH-OF-YOUR-OWN', join(scratch, 'own')).split(' '))
      expect({ command, ...result }).toMatchObject({ code: 0 })
    }
  })

  it('serves the store in the end, and fetches a NAR from there as Nix does', () => {
    const hash = encodeNixbase32(new Uint8Array(createHash('sha256').update(nar).digest()))
    expect(first.stdout).toMatch(/^Serving it on http:\/\/127\.0\.0\.1:\d+ and grpc\+http:\/\//m)
    expect(first.stdout).toContain(
      `${nar.length.toLocaleString('en-US')} bytes, sha256:${hash}, as the narinfo says`,
    )
  })

  it.runIf(hasScript() || process.env['NEVE_TEST_REQUIRE'] === 'all')(
    'serves on for a person at a terminal, until Ctrl-C',
    async () => {
      const { INIT_CWD: _, ...environment } = process.env
      const env = { ...environment, NEVE_STORE: join(scratch, 'store'), NEVE_SETUP: 'skip' }
      const command = `exec '${process.execPath}' '${join(ROOT, 'scripts/start.mjs')}'`
      const terminal = spawn('script', ['-qec', command, '/dev/null'], {
        env,
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      const ended = once(terminal, 'close')
      let text = ''
      terminal.stdout.on('data', (piece: Buffer) => {
        text += piece.toString()
      })
      while (!text.includes('Ctrl-C ends it.')) await once(terminal.stdout, 'data')
      const url = /^ {2}(http:\S+)\/\r?$/m.exec(text)?.[1]
      expect((await fetch(`${url}/nix-cache-info`)).status).toBe(200)
      terminal.stdin.write('\x03')
      expect((await ended)[0]).toBe(0)
      await expect(fetch(`${url}/nix-cache-info`)).rejects.toThrow()
    },
  )

  it('says in one line what is wrong with the store', async () => {
    const file = join(scratch, 'a-file')
    writeFileSync(file, '')
    const { code, output } = await runStart([], { NEVE_STORE: join(file, 'store') })
    expect(code).toBe(1)
    expect(output).toMatch(/^neve: [^\n]+\n$/)
  })
})

describe('npm start -- ARGS', () => {
  it('runs the command with its output and exit code', async () => {
    const version = await start('--version')
    const { version: expected } = JSON.parse(readFileSync(join(ROOT, 'packages/cli/package.json'), 'utf8'))
    expect(version.code).toBe(0)
    expect(version.stdout).toContain(expected)
    expect((await start('no-such-command')).code).toBe(2)
  })

  it('takes relative paths from where the user is', async () => {
    mkdirSync(join(scratch, 'here'))
    writeFileSync(join(scratch, 'here/note.txt'), 'a note\n')
    const { code, stdout } = await runStart(['import', 'note.txt'], { INIT_CWD: join(scratch, 'here') })
    expect(code).toBe(0)
    expect(stdout).toBe(`${plainStorePath(plainNar(join(scratch, 'here/note.txt')), 'note.txt')}\n`)
  })
})

describe('the real Nix', () => {
  const present = hasNix()
  const required = process.env['NEVE_TEST_REQUIRE'] === 'all'

  it.runIf(present || required)('gives the sample the same store path', () => {
    const store = join(scratch, 'nix')
    const configuration = join(scratch, 'nix-conf')
    mkdirSync(configuration)
    writeFileSync(join(configuration, 'nix.conf'), 'substituters =\nsandbox = false\nbuild-users-group =\n')
    const env = { PATH: process.env['PATH'], HOME: scratch, NIX_CONF_DIR: configuration }
    const added = execFileSync('nix-store', ['--store', store, '--add', SAMPLE], { env, encoding: 'utf8' })
    expect(added.trim()).toBe(storePath)
    expect(existsSync(join(store, storePath))).toBe(true)
    const dump = execFileSync('nix-store', ['--dump', SAMPLE], { env })
    expect(dump.equals(nar)).toBe(true)
  })
})

function start(...args: string[]): Promise<ProcessResult> {
  return runStart(args)
}

function runStart(args: readonly string[], changes: NodeJS.ProcessEnv = {}): Promise<ProcessResult> {
  const { INIT_CWD: _, ...environment } = process.env
  const env = { ...environment, NEVE_STORE: join(scratch, 'store'), NEVE_SETUP: 'skip', ...changes }
  return runProcess(process.execPath, [join(ROOT, 'scripts/start.mjs'), ...args], { env })
}

function field({ stdout }: ProcessResult, label: string): string | undefined {
  return new RegExp(`^ {2}${label} +(.*)$`, 'm').exec(stdout)?.[1]
}

function sum(contents: readonly Buffer[]): number {
  return contents.reduce((total, { length }) => total + length, 0)
}

function hasScript(): boolean {
  try {
    execFileSync('script', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

function hasNix(): boolean {
  try {
    execFileSync('nix-store', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
