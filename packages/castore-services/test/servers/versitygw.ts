import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { ObjectServer } from './object-server.js'
import { findProgram, SERVER_FOLDER, ServerProcess } from './server-process.js'

export const S3_SECRET = 'secret-of-the-test'

const file = findProgram(join(SERVER_FOLDER, 'bin/versitygw'))

/** S3: Versity's gateway over a folder. */
export const VERSITYGW: ObjectServer = {
  name: 'versitygw',
  missing: file === undefined ? 'versitygw is not installed; see scripts/test-servers.mjs' : undefined,
  async start() {
    const server = await ServerProcess.start(
      {
        file: file!,
        args: (port, folder) => ['--port', `127.0.0.1:${port}`, '--quiet', 'posix', join(folder, 'data')],
        env: { ROOT_ACCESS_KEY: 'test', ROOT_SECRET_KEY: S3_SECRET },
      },
      (folder) => mkdirSync(join(folder, 'data/bucket'), { recursive: true }),
    )
    const origin = `http://127.0.0.1:${server.port}`
    const optionsAt = (endpoint: string) => ({
      aws_endpoint: endpoint,
      aws_region: 'us-east-1',
      aws_access_key_id: 'test',
      aws_secret_access_key: S3_SECRET,
      aws_allow_http: 'true',
    })
    return {
      process: server,
      origin,
      url: (path) => `s3://bucket/${path}`,
      options: optionsAt(origin),
      optionsAt,
    }
  },
}
