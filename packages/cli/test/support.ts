import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished, type TestContext } from 'vitest'
import { checkBundles } from './check-bundles.js'

checkBundles()

/** The built command. */
export const NEVE: string = fileURLToPath(new URL('../dist/neve.js', import.meta.url))

export interface Ran {
  /** Undefined when a signal ended it. */
  readonly code: number | undefined
  readonly stdout: Buffer
  readonly stderr: string
  /** Lines of stdout. */
  readonly lines: string[]
}

export interface RunOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** What it reads from standard input. Default: nothing. */
  readonly input?: Uint8Array
  /** Called once it runs. */
  readonly onStart?: (child: ChildProcess) => void
  /** What to run it with. Default: node alone. */
  readonly through?: readonly string[]
}

/** A folder that is gone after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'neve-cli-'))
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

/** Runs the command to its end; never rejects for what it exits with. Variables of this process' own store do not reach it. */
export function neve(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const [program, ...before] = [...(options.through ?? []), process.execPath, NEVE]
  const { PATH, HOME } = process.env
  const child = spawn(program!, [...before, ...args], {
    cwd: options.cwd,
    env: { PATH, HOME, ...options.env },
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  })
  // It need not read all of it.
  child.stdin?.on('error', () => {})
  child.stdin?.end(options.input)
  return new Promise((resolve, reject) => {
    const stdout: Buffer[] = []
    const stderr: Buffer[] = []
    child.stdout!.on('data', (piece: Buffer) => stdout.push(piece))
    child.stderr!.on('data', (piece: Buffer) => stderr.push(piece))
    child.on('error', reject)
    child.on('close', (code) => {
      const bytes = Buffer.concat(stdout)
      const text = bytes.toString()
      resolve({
        code: code ?? undefined,
        stdout: bytes,
        stderr: Buffer.concat(stderr).toString(),
        lines: text === '' ? [] : text.replace(/\n$/, '').split('\n'),
      })
    })
    options.onStart?.(child)
  })
}

/** A store of its own, and the command on it. */
export function newStore(): { readonly path: string; readonly run: (...args: string[]) => Promise<Ran> } {
  const path = join(temporaryFolder(), 'store')
  return { path, run: (...args) => neve(['--store', path, ...args]) }
}

/** Bytes that are the same in every run and do not compress. */
export function noise(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  let state = seed
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}

/** A tree with everything that a store can hold. */
export function sampleTree(folder: string): string {
  const tree = join(folder, 'sample')
  mkdirSync(join(tree, 'empty'), { recursive: true })
  mkdirSync(join(tree, 'bin/deep'), { recursive: true })
  writeFileSync(join(tree, 'hello'), 'Hello World!')
  writeFileSync(join(tree, 'nothing'), '')
  writeFileSync(join(tree, 'bin/run'), '#!/bin/sh\necho hi\n')
  chmodSync(join(tree, 'bin/run'), 0o755)
  writeFileSync(join(tree, 'bin/deep/large'), noise(3_000_000))
  writeFileSync(Buffer.from(`${tree}/caf\xe9`, 'latin1'), 'odd name')
  writeFileSync(join(tree, 'new\nline'), 'control')
  symlinkSync('/nix/store/somewhereelse', join(tree, 'aa'))
  symlinkSync('../nowhere', join(tree, 'bin/dangling'))
  return tree
}

/** Runs a test where `missing` is undefined; else it is skipped, or fails where everything is required. */
export function requireReal(context: TestContext, missing: string | undefined): void {
  if (missing === undefined) return
  const { NEVE_TEST_REQUIRE } = process.env
  if (NEVE_TEST_REQUIRE === 'all') throw new Error(missing)
  context.skip(missing)
}

/** Why `program` cannot be used, if it cannot. */
export function missingProgram(program: string, ...args: string[]): string | undefined {
  try {
    execFileSync(program, args, { stdio: 'ignore' })
    return undefined
  } catch (error) {
    return `${program} cannot be run: ${error instanceof Error ? error.message.split('\n')[0] : error}`
  }
}

/** One line for a person, and nothing of a stack trace. */
export const ONE_LINE = /^neve: [^\n]+\n$/
