// npm run bench [-- FILTER]   runs the benchmarks whose file name contains FILTER, one after the other
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { ROOT, SetupError, setUp } from './setup.mjs'

const [filter = ''] = process.argv.slice(2)
const files = readdirSync(join(ROOT, 'benchmarks'))
  .filter((name) => name.endsWith('.mjs') && name.includes(filter))
  .sort()
try {
  if (files.length === 0) throw new SetupError(`no benchmark's name contains ${JSON.stringify(filter)}`)
  await setUp()
  console.log(machine())
  for (const file of files) {
    console.log(`\n${file}`)
    if ((await run(join(ROOT, 'benchmarks', file))) !== 0) process.exitCode = 1
  }
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  console.error(`neve: ${error.message}`)
  process.exitCode = 1
}

function machine() {
  const processors = cpus()
  const gibibytes = (totalmem() / 2 ** 30).toFixed(0)
  return `${processors[0]?.model ?? 'unknown processor'}, ${processors.length} cores, ${gibibytes} GiB, Node ${process.version}`
}

/**
 * @param {string} file
 * @returns {Promise<number>} exit code
 */
function run(file) {
  const child = spawn(process.execPath, [file], { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve(code ?? 1))
  })
}
