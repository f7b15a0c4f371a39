import { join } from 'node:path'
import type { ObjectServer } from './object-server.js'
import { findProgram, SERVER_FOLDER, ServerProcess } from './server-process.js'

const file = findProgram(join(SERVER_FOLDER, 'bin/fake-gcs-server'))

/** Google Cloud Storage: a server in Go that keeps objects in memory. */
export const FAKE_GCS_SERVER: ObjectServer = {
  name: 'fake-gcs-server',
  missing: file === undefined ? 'fake-gcs-server is not installed; see scripts/test-servers.mjs' : undefined,
  async start() {
    const server = await ServerProcess.start({
      file: file!,
      args: (port) => [
        ...['-scheme', 'http', '-host', '127.0.0.1', '-port', `${port}`, '-backend', 'memory'],
        ...['-public-host', `127.0.0.1:${port}`, '-external-url', `http://127.0.0.1:${port}`],
        ...['-log-level', 'error'],
      ],
    })
    const origin = `http://127.0.0.1:${server.port}`
    const made = await fetch(`${origin}/storage/v1/b?project=test`, {
      method: 'POST',
      body: JSON.stringify({ name: 'bucket' }),
    })
    if (!made.ok) throw new Error(`no bucket: ${made.status} ${await made.text()}`)
    const optionsAt = (endpoint: string) => ({ google_endpoint: endpoint, google_skip_signature: 'true' })
    return {
      process: server,
      origin,
      url: (path) => `gs://bucket/${path}`,
      options: optionsAt(origin),
      optionsAt,
    }
  },
}
