import { createHmac } from 'node:crypto'
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import type { ObjectServer } from './object-server.js'
import { findProgram, SERVER_FOLDER, ServerProcess } from './server-process.js'

/** The well-known account of the emulator. */
const ACCOUNT = 'devstoreaccount1'
export const AZURE_KEY =
  'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=='

const file = findProgram(join(SERVER_FOLDER, 'azurite/node_modules/.bin/azurite-blob'))

/** Azure Blob Storage: Microsoft's emulator. */
export const AZURITE: ObjectServer = {
  name: 'azurite',
  missing: file === undefined ? 'azurite is not installed; see scripts/test-servers.mjs' : undefined,
  async start() {
    const server = await ServerProcess.start({
      file: process.execPath,
      args: (port, folder) => [
        ...[realpathSync(file!), '--blobHost', '127.0.0.1', '--blobPort', `${port}`],
        ...['-l', folder, '-s', '--disableTelemetry', '--skipApiVersionCheck'],
      ],
    })
    const origin = `http://127.0.0.1:${server.port}`
    await makeContainer(origin)
    const optionsAt = (endpoint: string) => ({
      azure_storage_account_name: ACCOUNT,
      azure_storage_account_key: AZURE_KEY,
      azure_storage_endpoint: `${endpoint}/${ACCOUNT}`,
    })
    return {
      process: server,
      origin,
      url: (path) => `az://bucket/${path}`,
      options: optionsAt(origin),
      optionsAt,
    }
  },
}

async function makeContainer(origin: string): Promise<void> {
  const headers = { 'x-ms-date': new Date().toUTCString(), 'x-ms-version': '2021-08-06' }
  const signed = [
    `PUT${'\n'.repeat(11)}`,
    `x-ms-date:${headers['x-ms-date']}`,
    `x-ms-version:${headers['x-ms-version']}`,
    `/${ACCOUNT}/${ACCOUNT}/bucket`,
    'restype:container',
  ].join('\n')
  const signature = createHmac('sha256', Buffer.from(AZURE_KEY, 'base64')).update(signed).digest('base64')
  const made = await fetch(`${origin}/${ACCOUNT}/bucket?restype=container`, {
    method: 'PUT',
    headers: { ...headers, authorization: `SharedKey ${ACCOUNT}:${signature}` },
  })
  if (!made.ok) throw new Error(`no container: ${made.status} ${await made.text()}`)
}
