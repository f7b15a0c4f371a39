// node scripts/turbo.mjs TASK...   runs `turbo run TASK...` with the package manager that the workspace names
import { spawn } from 'node:child_process'
import { packageManager, ROOT } from './setup.mjs'

const { file, args } = packageManager(ROOT, ['exec', 'turbo', 'run', ...process.argv.slice(2)])
const env = { ...process.env, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' }
const child = spawn(file, args, { cwd: ROOT, env, stdio: 'inherit' })
child.on('error', (error) => {
  process.stderr.write(`${file} could not be started: ${error.message}\n`)
  process.exitCode = 1
})
child.on('close', (code) => {
  process.exitCode = code ?? 1
})
