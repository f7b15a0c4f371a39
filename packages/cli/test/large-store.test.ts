import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { missingMounts } from './mounts.js'
import { temporaryFolder } from './support.js'

const SCRIPT = fileURLToPath(new URL('../../../scripts/large-store.mjs', import.meta.url))
const missing = process.env['NEVE_TEST_REQUIRE'] === 'all' ? undefined : missingMounts()

// CONTRIBUTING.md says how to do that with a store that is large.
test.skipIf(missing !== undefined)(
  `a store is operated on while it is mounted, served and imported into${missing === undefined ? '' : `: ${missing}`}`,
  async () => {
    const args = [SCRIPT, '--size', '64M', '--dir', temporaryFolder()]
    const { stdout } = await promisify(execFile)(process.execPath, args)
    expect(stdout).toMatch(/[1-9]\d* {2}files read from the mount\n/)
  },
  0,
)
