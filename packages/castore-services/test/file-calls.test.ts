import { execFileSync } from 'node:child_process'
import { fstatSync, lstatSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fileCalls } from '../src/ingest/file-calls.js'

const calls = fileCalls()
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'neve-file-calls-'))
})

afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

/** With a NUL behind its end, and something else behind that. */
function terminated(name: string): Buffer {
  const path = join(folder, name)
  return Buffer.from(`${path}\0else`).subarray(0, Buffer.byteLength(path))
}

describe('calls for each file of an import', () => {
  it.each([0o644, 0o755, 0o444])('see what Node sees of a file with mode %o', (mode) => {
    const path = join(folder, `file-${mode}`)
    writeFileSync(path, Buffer.alloc(mode * 7), { mode })
    utimesSync(path, 1_234_567_890.5, 1_700_000_000.123_456)
    const node = lstatSync(path)
    const expected = {
      isRegular: true,
      executable: (mode & 0o100) !== 0,
      size: mode * 7,
      dev: node.dev,
      ino: node.ino,
      mtimeMs: node.mtimeMs,
      ctimeMs: node.ctimeMs,
    }
    expect(calls.lstat(terminated(`file-${mode}`))).toEqual(expected)
    const descriptor = calls.open(terminated(`file-${mode}`))
    expect(calls.fstat(descriptor)).toEqual(expected)
    calls.close(descriptor)
    expect(() => fstatSync(descriptor)).toThrow(/EBADF/)
  })

  it('see sizes of more than 32 bits, and names that are not UTF-8', () => {
    const name = Buffer.concat([Buffer.from(`${folder}/`), Buffer.of(0xff, 0xfe), Buffer.of(0)])
    execFileSync('truncate', ['-s', '5000000001', `${folder}/large`])
    expect(calls.lstat(terminated('large')).size).toBe(5_000_000_001)
    writeFileSync(name.subarray(0, -1), 'latin')
    expect(calls.lstat(name.subarray(0, -1)).size).toBe(5)
  })

  it('tell links and folders from files', () => {
    symlinkSync('file', join(folder, 'link'))
    expect(calls.lstat(terminated('link')).isRegular).toBe(false)
    expect(calls.lstat(Buffer.from(`${folder}\0`).subarray(0, -1)).isRegular).toBe(false)
  })

  it('see the same of a file in an open folder', () => {
    writeFileSync(join(folder, 'in-folder'), 'content')
    symlinkSync('in-folder', join(folder, 'link-in-folder'))
    const open = calls.openFolder(terminated(''))
    // Not where they cannot be made directly.
    if (open === undefined) return
    const named = (name: string) => Buffer.from(`${name}\0else`).subarray(0, name.length)
    expect(calls.lstatIn(open, named('in-folder'))).toEqual(calls.lstat(terminated('in-folder')))
    expect(calls.lstatIn(open, named('link-in-folder'))?.isRegular).toBe(false)
    expect(calls.lstatIn(open, named('missing'))).toBeUndefined()
    calls.close(open)
    expect(() => fstatSync(open)).toThrow(/EBADF/)
    expect(calls.openFolder(terminated('in-folder'))).toBeUndefined()
    expect(calls.openFolder(terminated('missing'))).toBeUndefined()
  })

  it('fail as Node does', () => {
    symlinkSync('file', join(folder, 'other-link'))
    expect(() => calls.open(terminated('missing'))).toThrow(/ENOENT: no such file or directory, open/)
    expect(() => calls.lstat(terminated('missing'))).toThrow(/ENOENT: no such file or directory, lstat/)
    expect(() => calls.open(terminated('other-link'))).toThrow(/ELOOP/)
    expect(() => calls.fstat(99_999)).toThrow(/EBADF/)
  })
})
