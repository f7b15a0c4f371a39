import { B3Digest, Path } from '@neve/castore-model'
import type { IngestionEntry } from '@neve/castore-services/ingest'
import { ArchiveError, EntryGraph, type EntryGraphInit } from '@neve/castore-services/ingest/archive'
import { describe, expect, it } from 'vitest'

const dir = (path: string): IngestionEntry => ({ kind: 'dir', path: Path.parse(path) })
const file = (path: string, content = ''): IngestionEntry => ({
  kind: 'regular',
  path: Path.parse(path),
  size: BigInt(content.length),
  executable: false,
  digest: B3Digest.of(Buffer.from(content)),
})
const link = (path: string, target: string): IngestionEntry => ({
  kind: 'symlink',
  path: Path.parse(path),
  target: Buffer.from(target),
})

function shown(entry: IngestionEntry): string {
  if (entry.kind === 'regular') return `file ${entry.path} ${entry.size}`
  return entry.kind === 'dir' ? `dir ${entry.path}` : `link ${entry.path}`
}

function finalize(entries: readonly IngestionEntry[], init?: EntryGraphInit): string[] {
  const graph = new EntryGraph(init)
  for (const entry of entries) graph.add(entry)
  return [...graph.entries()].map(shown)
}

function refused(entries: readonly IngestionEntry[], init?: EntryGraphInit): ArchiveError {
  try {
    finalize(entries, init)
  } catch (error) {
    expect(error).toBeInstanceOf(ArchiveError)
    return error as ArchiveError
  }
  throw new Error('expected it to be refused')
}

describe('entry graph', () => {
  it('TAR-1 makes the parents that no entry tells of', () => {
    expect(finalize([file('a/b/c')])).toEqual(['file a/b/c 0', 'dir a/b', 'dir a'])
  })

  it('TAR-2 takes the parents that entries tell of', () => {
    expect(finalize([dir('a'), dir('a/b'), file('a/b/c')])).toEqual(['file a/b/c 0', 'dir a/b', 'dir a'])
  })

  it('TAR-3 replaces a directory by a later file', () => {
    expect(finalize([dir('a'), dir('a/b'), file('a/b')])).toEqual(['file a/b 0', 'dir a'])
  })

  it('TAR-4 refuses an empty archive', () => {
    expect(refused([])).toMatchObject({ code: 'top-level', message: 'the archive is empty' })
    expect(refused([], { topLevel: 'keep' })).toMatchObject({ code: 'top-level' })
  })

  it('TAR-5 refuses two directories at the top, as soon as the second is seen', () => {
    const graph = new EntryGraph()
    graph.add(dir('a'))
    expect(() => graph.add(dir('b'))).toThrow(
      "expected one directory at the top of the archive, got 'a' and 'b'",
    )
    expect(refused([file('a/x'), file('b/y')])).toMatchObject({ code: 'top-level' })
  })

  it('TAR-6 refuses a file or symlink at the top', () => {
    expect(refused([file('a')])).toMatchObject({ code: 'top-level' })
    expect(refused([file('a')]).message).toContain("the file 'a'")
    expect(refused([link('a', 'b')]).message).toContain("the symlink 'a'")
  })

  it('5.2 makes a directory of a file or symlink that gets a child later', () => {
    expect(finalize([file('a'), file('a/b')])).toEqual(['file a/b 0', 'dir a'])
    expect(finalize([link('r/a', '/etc'), file('r/a/b')])).toEqual(['file r/a/b 0', 'dir r/a', 'dir r'])
  })

  it('5.2 drops what is below a directory that is replaced, also when the directory comes again', () => {
    expect(finalize([dir('a/b'), file('a/b/c'), file('a/b')])).toEqual(['file a/b 0', 'dir a'])
    expect(finalize([file('a/b/c'), file('a/b'), file('a/b/d')])).toEqual([
      'file a/b/d 0',
      'dir a/b',
      'dir a',
    ])
    expect(finalize([file('a/x'), link('a', 'x'), file('a/y')])).toEqual(['file a/y 0', 'dir a'])
  })

  it('5.2 takes the last of several files, and keeps the children of directories that are told of again', () => {
    expect(finalize([file('a/b', 'one'), file('a/b', 'later')])).toEqual(['file a/b 5', 'dir a'])
    expect(finalize([file('a/b'), dir('a'), dir('a')])).toEqual(['file a/b 0', 'dir a'])
  })

  it('5.2 rule 5: the root itself counts for nothing where it is stripped', () => {
    const root: IngestionEntry = { kind: 'dir', path: Path.ROOT }
    expect(finalize([root, file('foo/x')])).toEqual(['file foo/x 0', 'dir foo'])
    expect(refused([root, file('foo'), file('bar')])).toMatchObject({ code: 'top-level' })
    expect(refused([root]).message).toContain('got nothing')
  })

  it('keeps everything at the top where that is asked for', () => {
    const keep = { topLevel: 'keep' } as const
    expect(finalize([file('a'), file('b/c'), link('d', 'a')], keep)).toEqual([
      'file root/a 0',
      'file root/b/c 0',
      'dir root/b',
      'link root/d',
      'dir root',
    ])
    expect(finalize([{ kind: 'dir', path: Path.ROOT }], keep)).toEqual(['dir root'])
  })

  it('refuses duplicates where that is asked for, but no directory that was only implied', () => {
    const refuse = { duplicates: 'refuse' } as const
    expect(finalize([file('a/b/c'), dir('a/b'), dir('a')], refuse)).toHaveLength(3)
    for (const entries of [
      [file('a/b'), file('a/b')],
      [dir('a'), dir('a')],
      [file('a/b'), dir('a/b')],
      [dir('a/b'), file('a/b')],
      [file('a/b'), file('a/b/c')],
    ]) {
      expect(refused(entries, refuse)).toMatchObject({ code: 'duplicate' })
    }
  })

  it('counts what the tree has in the end', () => {
    const graph = new EntryGraph()
    for (const entry of [file('a/b', 'one'), file('a/b', 'later'), link('a/c', 'b'), file('a/d/e', 'x')]) {
      graph.add(entry)
    }
    expect(graph.counts()).toEqual({ files: 2, directories: 2, symlinks: 1, bytes: 6 })
  })
})
