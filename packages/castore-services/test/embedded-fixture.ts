import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EmbeddedBlobService } from '@neve/castore-services/blob/embedded'
import { EmbeddedDirectoryService } from '@neve/castore-services/directory/embedded'
import { EmbeddedStore } from '@neve/embedded-store'
import { afterAll } from 'vitest'

const folders: string[] = []
afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/** A new folder that is removed after the tests of the file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'neve-services-'))
  folders.push(folder)
  return folder
}

/** Both services over one new embedded store. */
export interface EmbeddedServices {
  readonly engine: EmbeddedStore
  readonly blobs: EmbeddedBlobService
  readonly directories: EmbeddedDirectoryService
}

export async function embeddedServices(
  path: string = join(temporaryFolder(), 'store'),
): Promise<EmbeddedServices> {
  const engine = await EmbeddedStore.open(path)
  return {
    engine,
    blobs: new EmbeddedBlobService(engine),
    directories: new EmbeddedDirectoryService(engine),
  }
}

const RECORD_HEADER = 52

/** Flips one bit of the stored payload of one piece of content. */
export function damageContent(engine: EmbeddedStore, digest: Uint8Array, at = 0): void {
  const location = engine.locate(digest)
  if (location === undefined) throw new Error(`no content ${Buffer.from(digest).toString('hex')}`)
  const name = `${String(location.segment).padStart(10, '0')}.seg`
  const file = openSync(join(engine.path, 'segments', name), 'r+')
  try {
    const position = location.offset + RECORD_HEADER + (at % location.storedLength)
    const byte = Buffer.alloc(1)
    readSync(file, byte, 0, 1, position)
    byte[0]! ^= 0x10
    writeSync(file, byte, 0, 1, position)
  } finally {
    closeSync(file)
  }
}
