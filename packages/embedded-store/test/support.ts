import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EmbeddedStore } from '@neve/embedded-store'
import { onTestFinished } from 'vitest'

/** A folder that goes with the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'neve-embedded-store-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** The key of some content in these tests: what the engine takes for it is up to the caller. */
export function keyOf(content: Uint8Array | string): Uint8Array {
  return createHash('sha256').update(content).digest()
}

export function bytes(text: string): Uint8Array {
  return Buffer.from(text)
}

/** Content that no compressor makes smaller. */
export function noise(length: number): Uint8Array {
  return randomBytes(length)
}

/** Content that compresses well. */
export function prose(length: number): Uint8Array {
  return Buffer.alloc(length, 'the quick brown fox jumps over the lazy dog; ')
}

export async function writeAll(store: EmbeddedStore, contents: readonly Uint8Array[]): Promise<Uint8Array[]> {
  const session = store.write()
  const keys = contents.map(keyOf)
  for (const [i, content] of contents.entries()) session.appendContent(keys[i]!, content)
  await session.commit()
  return keys
}

export function segmentFiles(folder: string): string[] {
  return readdirSync(join(folder, 'segments')).sort()
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : `no code: ${String(error)}`
}

/** The code with which something fails; fails itself if it does not. */
export async function failure(doing: () => unknown): Promise<string> {
  try {
    await doing()
  } catch (error) {
    return codeOf(error)
  }
  return 'nothing failed'
}
