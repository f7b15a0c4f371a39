// Makes ready the real servers that the full tests talk to, in a folder outside the checkout, each once:
//   node scripts/test-servers.mjs
// NEVE_TEST_SERVERS names the folder. Default: ~/.cache/neve-test-servers. It needs Go and npm; minutes the first time.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

const FOLDER = process.env['NEVE_TEST_SERVERS'] ?? join(homedir(), '.cache/neve-test-servers')

/** Program to the Go package that builds it. */
const GO_PACKAGES = {
  versitygw: 'github.com/versity/versitygw/cmd/versitygw@v1.8.0',
  emulator: 'cloud.google.com/go/bigtable/cmd/emulator@v1.58.0',
  grpcurl: 'github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3',
  'fake-gcs-server': 'github.com/fsouza/fake-gcs-server@v1.56.1',
}
const AZURITE = 'azurite@3.35.0'

for (const [program, source] of Object.entries(GO_PACKAGES)) {
  const installed = join(FOLDER, 'bin', program)
  if (existsSync(installed)) continue
  // Elsewhere first: what was cut off half way is not taken for installed.
  const building = join(FOLDER, 'building')
  make(`building ${program}`, 'go', ['install', source], { GOBIN: building })
  mkdirSync(join(FOLDER, 'bin'), { recursive: true })
  renameSync(join(building, program), installed)
}

const azurite = join(FOLDER, 'azurite')
if (!existsSync(join(azurite, 'node_modules/.bin/azurite-blob'))) {
  rmSync(azurite, { recursive: true, force: true })
  mkdirSync(azurite, { recursive: true })
  make('installing azurite', 'npm', ['install', '--prefix', azurite, '--no-audit', '--no-fund', AZURITE])
}

/**
 * @param {string} message
 * @param {string} file
 * @param {string[]} args
 * @param {Record<string, string>} [environment]
 */
function make(message, file, args, environment = {}) {
  console.log(`${message} ...`)
  const { error, status, stdout, stderr } = spawnSync(file, args, {
    env: { ...process.env, ...environment },
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  })
  if (status === 0) return
  console.error(error === undefined ? `${stdout}${stderr}` : `${file}: ${error.message}`)
  console.error(`${message} failed: \`${[file, ...args].join(' ')}\``)
  process.exit(1)
}
