// npm start              shows what Neve does, with a sample tree, and serves the store that has it then
// npm start -- ARGS      runs `neve ARGS`
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { join } from 'node:path'
import { ROOT, setUp } from './setup.mjs'

const args = process.argv.slice(2)
try {
  await setUp()
  process.exitCode = args.length === 0 ? await showSample() : await runNeve(args)
} catch (error) {
  if (!(error instanceof Error) || process.env['NEVE_DEBUG'] === '1') throw error
  process.stderr.write(`neve: ${error.message}\n`)
  process.exitCode = 1
}

async function showSample() {
  const { demo } = await import('./demo.mjs')
  const { storePath, verified } = await demo(process.stdout)
  if (!verified) return 1
  const { serveDemo } = await import('./serve-demo.mjs')
  return serveDemo(process.stdout, storePath, process.stdout.isTTY === true)
}

/**
 * @param {string[]} args
 * @returns {Promise<number>} its exit code, as a shell would tell it
 */
async function runNeve(args) {
  const neve = join(ROOT, 'packages/cli/dist/neve.js')
  // npm changes to the root of the repository; relative paths are meant from where the user is.
  const cwd = process.env['INIT_CWD'] ?? process.cwd()
  const child = spawn(process.execPath, [neve, ...args], { stdio: 'inherit', cwd })
  // A terminal signals both processes: the command decides what to do, this one waits for it.
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => {
      if (signal !== 'SIGINT') child.kill(signal)
    })
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) =>
      resolve(code ?? (signal === null ? 1 : 128 + constants.signals[signal])),
    )
  })
}
