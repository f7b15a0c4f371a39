import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { credentials, loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

const folder = process.env['NEVE_TEST_SERVERS'] ?? join(homedir(), '.cache', 'neve-test-servers')
const program = join(folder, 'bin', 'emulator')

/** Why the emulator cannot be used; undefined when it can. With `NEVE_TEST_REQUIRE=all` it always can, or fails. */
export const missingEmulator: string | undefined =
  existsSync(program) || process.env['NEVE_TEST_REQUIRE'] === 'all' ? undefined : `no ${program}`

export interface BigtableEmulator {
  /** As `BIGTABLE_EMULATOR_HOST` takes it. */
  readonly host: string
  createTable(project: string, instance: string, table: string, family: string): Promise<void>
  stop(): Promise<void>
}

/** Starts an emulator on a port of its own. */
export async function startBigtableEmulator(): Promise<BigtableEmulator> {
  const child = spawn(program, ['-host', '127.0.0.1', '-port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const stop = async () => {
    child.kill()
    await exited
  }
  const host = await new Promise<string>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`the emulator ended with ${code}`)))
    createInterface({ input: child.stdout }).on('line', (line) => {
      const [, address] = /running on (\S+)$/.exec(line) ?? []
      if (address !== undefined) resolve(address)
    })
  })
  const { BigtableTableAdmin } = grpcServices('./bigtable-admin.proto', 'google.bigtable.admin.v2')
  const createTable = async (project: string, instance: string, table: string, family: string) => {
    const admin = new BigtableTableAdmin!(host, credentials.createInsecure())
    try {
      await new Promise<void>((resolve, reject) => {
        admin['CreateTable']!(
          {
            parent: `projects/${project}/instances/${instance}`,
            table_id: table,
            table: { column_families: { [family]: {} } },
          },
          (error: Error | null) => (error === null ? resolve() : reject(error)),
        )
      })
    } finally {
      admin.close()
    }
  }
  return { host, createTable, stop }
}

/** The services of a .proto file, as an independent library reads it. @param file relative to this folder */
export function grpcServices(file: string, name: string): Record<string, ServiceClientConstructor> {
  const path = fileURLToPath(new URL(file, import.meta.url))
  const definition = loadSync(path, { keepCase: true, defaults: true, longs: Number, oneofs: false })
  let node: unknown = loadPackageDefinition(definition)
  for (const part of name.split('.')) node = (node as Record<string, unknown>)[part]
  return node as Record<string, ServiceClientConstructor>
}
