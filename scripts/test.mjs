// npm test [-- [--only-tests] ARGS]
//
// Runs the linter, the type checker and all tests; --only-tests leaves the first two out. All other arguments go to
// vitest: `--project nar`, a part of a file name, `-t 'part of a title'`. The last line is `N passed, N failed`.
// NEVE_TEST_REQUIRE=all makes tests fail that would be skipped because a program is missing.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packageManager, ROOT, SetupError, setUp } from './setup.mjs'
import { countTests, summaryLine } from './test-summary.mjs'

const args = process.argv.slice(2).filter((argument) => argument !== '--only-tests')
const onlyTests = args.length < process.argv.length - 2
const scratch = mkdtempSync(join(tmpdir(), 'neve-test-'))
try {
  const counts = await runAll()
  console.log(summaryLine(counts))
  process.exitCode = counts.failed === 0 ? 0 : 1
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

/** @returns {Promise<import('./test-summary.mjs').Counts>} */
async function runAll() {
  try {
    await setUp()
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    console.error(`neve: ${error.message}`)
    return { passed: 0, failed: 1, skipped: 0 }
  }
  const failedChecks = onlyTests ? 0 : await runChecks()
  const counts = await runTests()
  return { ...counts, failed: counts.failed + failedChecks }
}

/** @returns {Promise<number>} how many failed */
async function runChecks() {
  const turbo = packageManager(ROOT, ['exec', 'turbo', 'run', 'typecheck', '--output-logs=errors-only'])
  const checks = [
    { name: 'lint', file: 'node_modules/.bin/biome', args: ['check', '.'] },
    { name: 'types of the packages', ...turbo },
    { name: 'types of scripts and tests', file: 'node_modules/.bin/tsc', args: ['-p', 'tests'] },
  ]
  let failed = 0
  for (const { name, file, args } of checks) {
    const code = await run(file, args)
    if (code !== 0) failed++
    console.log(`${code === 0 ? 'ok' : 'FAILED'}: ${name}`)
  }
  return failed
}

/** @returns {Promise<import('./test-summary.mjs').Counts>} */
async function runTests() {
  const report = join(scratch, 'report.json')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const code = await run('node_modules/.bin/vitest', ['run', ...reporters, ...args])
  const counts = readReport(report)
  if (counts.passed + counts.failed === 0) {
    console.error('neve: no test was run')
    return { ...counts, failed: 1 }
  }
  // An error outside of any test: vitest has shown it above.
  if (code !== 0 && counts.failed === 0) return { ...counts, failed: 1 }
  return counts
}

/** @param {string} file */
function readReport(file) {
  try {
    return countTests(JSON.parse(readFileSync(file, 'utf8')))
  } catch (error) {
    console.error(`neve: the test runner left no report: ${error instanceof Error ? error.message : error}`)
    return { passed: 0, failed: 0, skipped: 0 }
  }
}

/**
 * @param {string} file
 * @param {string[]} args
 * @returns {Promise<number>} exit code
 */
function run(file, args) {
  const env = {
    ...process.env,
    NEVE_STORE: join(scratch, 'store'),
    NEVE_SETUP: 'skip',
    TURBO_TELEMETRY_DISABLED: '1',
    DO_NOT_TRACK: '1',
  }
  const child = spawn(file, args, { cwd: ROOT, env, stdio: ['ignore', 'inherit', 'inherit'] })
  return new Promise((resolve) => {
    child.on('error', (error) => {
      console.error(`neve: ${file} could not be started: ${error.message}`)
      resolve(1)
    })
    child.on('close', (code) => resolve(code ?? 1))
  })
}
