import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { type LocalStore, openLocalStore, StoreError } from '@neve/store-pathinfo'
import { afterAll, expect } from 'vitest'

const folders: string[] = []
const stores: LocalStore[] = []
afterAll(async () => {
  for (const store of stores.splice(0)) await store.close()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/** A new folder that is removed after the tests of the file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'neve-store-'))
  folders.push(folder)
  return folder
}

/** A new store that is closed after the tests of the file. */
export async function temporaryStore(): Promise<LocalStore> {
  const store = await openLocalStore(join(temporaryFolder(), 'store'))
  stores.push(store)
  return store
}

export const memoryServices = () => ({
  blobs: new MemoryBlobService(),
  directories: new MemoryDirectoryService(),
})

export async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of source) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces)
}

/** Runs something that must fail, and gives the error. */
export async function failureOf(doing: () => unknown): Promise<Error & { code?: string }> {
  try {
    await doing()
  } catch (error) {
    expect(error).toBeInstanceOf(Error)
    return error as Error
  }
  throw new Error('expected it to fail')
}

export async function expectStoreError(doing: () => unknown, code: string): Promise<StoreError> {
  const error = await failureOf(doing)
  expect(error).toBeInstanceOf(StoreError)
  expect(error).toMatchObject({ name: 'StoreError', code })
  return error as StoreError
}

export const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s+/g, ''), 'hex'))
export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

export const nixIsThere = programIsThere('nix-store')

/** Whether a program can be run. What needs it is skipped without, and says so in its name; where all is required, it fails. */
export function programIsThere(program: string, option = '--version'): boolean {
  if (spawnSync(program, [option]).status === 0) return true
  if (process.env['NEVE_TEST_REQUIRE'] === 'all') throw new Error(`${program} is missing`)
  return false
}

/** `nix-store` over a private store (spec 09 section 16). */
export function privateNix(): (...args: string[]) => Buffer {
  const scratch = temporaryFolder()
  const conf = 'experimental-features = nix-command\nsubstituters =\nsandbox = false\nbuild-users-group =\n'
  writeFileSync(join(scratch, 'nix.conf'), conf)
  return (...args) => {
    const result = spawnSync(
      'nix-store',
      args[0] === '--dump' ? args : ['--store', join(scratch, 'root'), ...args],
      {
        env: { ...process.env, HOME: scratch, NIX_CONF_DIR: scratch },
        maxBuffer: 2 ** 28,
      },
    )
    if (result.status !== 0) throw new Error(`nix-store ${args[0]}: ${result.stderr}`)
    return result.stdout
  }
}
