import { B3Digest } from '@neve/castore-model'
import { expect, it } from 'vitest'
import { descend } from '../descend.js'
import type { DirectoryService } from '../directory-service.js'
import { COMPLICATED, upload, WITH_KEEP } from './directory-fixtures.js'

const EMPTY_FILE = { kind: 'file', digest: B3Digest.EMPTY, size: 0n, executable: false }

/** Paths below an uploaded closure (spec 03 sections 6 and 14). For services that know what lies below a root. */
export function descendCases(service: () => DirectoryService): void {
  it.each([
    ['03#41', '', COMPLICATED.toNode()],
    ['03#42', 'keep', WITH_KEEP.toNode()],
    ['03#43', 'keep/.keep', EMPTY_FILE],
    ['03#44', 'void', undefined],
    ['03#45', 'v/oid', undefined],
    ['03#46', 'keep/.keep/foo', undefined],
  ])('%s finds what lies at "%s"', async (_item, path, expected) => {
    await upload(service(), WITH_KEEP, COMPLICATED)
    expect(await descend(service(), COMPLICATED.toNode(), path)).toEqual(expected)
  })
}
