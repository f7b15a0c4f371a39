// The S3 server that scripts/test-servers.mjs builds, on a port of its own, over a folder.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { connect } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../scripts/free-port.mjs'

const SERVERS = process.env['NEVE_TEST_SERVERS'] ?? join(homedir(), '.cache/neve-test-servers')
const PROGRAM = join(SERVERS, 'bin/versitygw')

/**
 * @param {string} folder to be created, for its objects
 * @returns {Promise<{ endpoint: string, options: Record<string, string>, stop: () => Promise<void> } | undefined>}
 *   undefined when it is not installed. Its bucket is called `bucket`.
 */
export async function startVersitygw(folder) {
  if (!existsSync(PROGRAM)) return undefined
  mkdirSync(join(folder, 'bucket'), { recursive: true })
  const port = await freePort()
  const child = spawn(PROGRAM, ['--port', `127.0.0.1:${port}`, '--quiet', '--keep-alive', 'posix', folder], {
    env: { ...process.env, ROOT_ACCESS_KEY: 'test', ROOT_SECRET_KEY: 'testtesttest' },
    stdio: 'ignore',
  })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  while (!(await accepts(port))) await sleep(20)
  const endpoint = `http://127.0.0.1:${port}`
  return {
    endpoint,
    options: {
      aws_endpoint: endpoint,
      aws_region: 'us-east-1',
      aws_access_key_id: 'test',
      aws_secret_access_key: 'testtesttest',
    },
    stop: async () => {
      child.kill()
      await ended
    },
  }
}

/**
 * @param {number} port
 * @returns {Promise<boolean>}
 */
function accepts(port) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
