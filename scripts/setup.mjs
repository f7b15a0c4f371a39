// Makes the workspace ready to run: dependencies installed, packages built. Does nothing when nothing has changed.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildFingerprint, installFingerprint, packageFolders } from './fingerprint.mjs'

/** The workspace's root. */
export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))

const REQUIRED_NODE = '20.19.0'
const STAMP = 'node_modules/.neve-setup'
const INSTALLING = 'installing the dependencies (minutes the first time, if native code has to be compiled)'
const BUILDING = 'building the packages'

/** A step of the setup could not be carried out; the message is a sentence for a person. */
export class SetupError extends Error {
  /** @override */
  name = 'SetupError'
}

/**
 * @typedef {object} Command
 * @property {string} message what is being done, for a person
 * @property {string} file
 * @property {string[]} args
 */

/**
 * Installs and builds whatever is not up to date. With `NEVE_SETUP=skip` in the environment it only checks the version
 * of Node.
 *
 * @param {object} [options]
 * @param {string} [options.root] the workspace's root. Default: this repository
 * @param {NodeJS.ProcessEnv} [options.environment] Default: that of the process
 * @param {(command: Command, root: string) => Promise<void>} [options.run] carries out one step. Default: {@link runQuietly}
 * @returns {Promise<string[]>} the steps that were carried out: `install`, `build`
 * @throws {SetupError}
 */
export async function setUp({ root = ROOT, environment = process.env, run = runQuietly } = {}) {
  checkNode(process.versions.node)
  if (environment['NEVE_SETUP'] === 'skip') return []
  const stamp = readStamp(root)
  const steps = []
  const install = installFingerprint(root)
  if (stamp.install !== install) {
    await run({ message: INSTALLING, ...packageManager(root, ['install', '--frozen-lockfile']) }, root)
    writeStamp(root, { install })
    steps.push('install')
  }
  // Taken before the build: a source that changes meanwhile is built the next time.
  const build = buildFingerprint(root)
  if (stamp.install !== install || stamp.build !== build || !isBuilt(root)) {
    // Through the package manager, because turbo looks for it on the PATH.
    await run({ message: BUILDING, ...packageManager(root, ['exec', 'turbo', 'run', 'build']) }, root)
    writeStamp(root, { install, build })
    steps.push('build')
  }
  return steps
}

/**
 * @param {string} version `major.minor.patch`
 * @throws {SetupError} unless this Node is new enough
 */
export function checkNode(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [requiredMajor = 0, requiredMinor = 0] = REQUIRED_NODE.split('.').map(Number)
  if (major > requiredMajor || (major === requiredMajor && minor >= requiredMinor)) return
  throw new SetupError(`Neve needs Node ${REQUIRED_NODE} or newer, and this is Node ${version}.`)
}

/**
 * Carries out a step without showing its output, unless it fails. All that is printed goes to stderr.
 *
 * @param {Command} command
 * @param {string} root
 */
export async function runQuietly({ message, file, args }, root) {
  process.stderr.write(`neve: ${message} ...\n`)
  const env = { ...process.env, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' }
  const child = spawn(file, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
  /** @type {Buffer[]} */
  const output = []
  child.stdout.on('data', (piece) => output.push(piece))
  child.stderr.on('data', (piece) => output.push(piece))
  /** @type {string | undefined} */
  const failure = await new Promise((resolve) => {
    child.on('error', (error) => resolve(`could not be started: ${error.message}`))
    child.on('close', (code, signal) =>
      resolve(code === 0 ? undefined : `ended with ${signal ?? `exit code ${code}`}`),
    )
  })
  if (failure === undefined) return
  process.stderr.write(Buffer.concat(output))
  throw new SetupError(`\`${[file, ...args].join(' ')}\` ${failure}.`)
}

/**
 * The package manager of the version that the workspace names, which need not be installed.
 *
 * @param {string} root
 * @param {string[]} args
 * @returns {{ file: string, args: string[] }}
 */
export function packageManager(root, args) {
  const { packageManager: version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  return { file: 'npx', args: ['--yes', version, ...args] }
}

/** @param {string} root */
function isBuilt(root) {
  return packageFolders(root).every(
    (folder) => !existsSync(join(root, folder, 'tsup.config.ts')) || existsSync(join(root, folder, 'dist')),
  )
}

/**
 * @param {string} root
 * @returns {{ install?: string, build?: string }} empty if there is none, or none that can be read
 */
function readStamp(root) {
  try {
    return JSON.parse(readFileSync(join(root, STAMP), 'utf8'))
  } catch {
    return {}
  }
}

/**
 * @param {string} root
 * @param {{ install: string, build?: string }} stamp
 */
function writeStamp(root, stamp) {
  mkdirSync(join(root, 'node_modules'), { recursive: true })
  writeFileSync(join(root, STAMP), `${JSON.stringify(stamp)}\n`)
}
