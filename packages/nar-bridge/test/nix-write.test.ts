import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { FileObjectStore } from '@neve/castore-services/object-store'
import { describe, expect, it } from 'vitest'
import { nixIsThere, PrivateNix } from './private-nix.js'
import { served, temporaryFolder, temporaryStore } from './support.js'

/** A tree of some kinds of files. */
function tree(): string {
  const folder = join(temporaryFolder(), 'tree')
  mkdirSync(join(folder, 'bin'), { recursive: true })
  writeFileSync(join(folder, 'bin', 'run'), '#!/bin/sh\necho hi\n', { mode: 0o755 })
  writeFileSync(join(folder, 'text'), Buffer.alloc(300_000, 'some text that repeats, and then '))
  writeFileSync(join(folder, 'noise'), randomBytes(150_000))
  return folder
}

/** Two paths, of which one mentions the other. */
async function withClosure(nix: PrivateNix) {
  const first = await nix.run('nix-store', '--add', tree())
  const text = `builtins.toFile "mentions" "${'$'}{builtins.storePath ${first}}"`
  const second = await nix.run('nix-instantiate', '--eval', '--read-write-mode', '-E', text)
  return { first, second: second.replaceAll('"', '') }
}

const FORMS = [
  '',
  'compression=none',
  'compression=zstd',
  'compression=bzip2',
  'compression=gzip',
  'compression=br',
]

describe.skipIf(!nixIsThere)('real Nix writes', () => {
  it.each(FORMS)('nix copy --to "%s", then --from with the memory of the same client', async (form) => {
    const folder = temporaryFolder()
    const options = { files: new FileObjectStore({ root: join(folder, 'files') }) }
    const store = await temporaryStore()
    const first = await served(store, options)
    const nix = new PrivateNix('require-sigs = false\n')
    const { first: path, second } = await withClosure(nix)
    const query = form === '' ? '' : `?${form}`
    await nix.run('nix', 'copy', '--to', `${first.url}${query}`, second)
    const info = JSON.parse(await nix.run('nix', 'path-info', '--store', first.url, '--json', second))[0]
    expect(info.references).toEqual([path])

    // The same client, with what it remembers: the URL and the compression that it chose itself.
    await nix.run('nix-store', '--delete', path, second)
    await nix.run('nix', 'copy', '--from', first.url, '--to', nix.root, '--no-check-sigs', second)
    await nix.run('nix-store', '--verify', '--check-contents')

    // Another client, and a server that was started again.
    await first.close()
    const again = await served(store, options)
    const other = new PrivateNix('require-sigs = false\n')
    await other.run('nix', 'copy', '--from', again.url, '--to', other.root, second)
    await other.run('nix-store', '--verify', '--check-contents')
    expect([...first.errors, ...again.errors]).toEqual([])
  })

  it('listings and where debug information is', async () => {
    const store = await temporaryStore()
    const { url, errors } = await served(store)
    const nix = new PrivateNix()
    const folder = tree()
    const id = 'ab'.repeat(20)
    mkdirSync(join(folder, 'lib/debug/.build-id/ab'), { recursive: true })
    writeFileSync(join(folder, 'lib/debug/.build-id/ab', `${id.slice(2)}.debug`), 'x')
    const path = await nix.run('nix-store', '--add', folder)
    const query = '?compression=none&write-nar-listing=true&index-debug-info=true'
    await nix.run('nix', 'copy', '--to', `${url}${query}`, path)
    const debug = await fetch(`${url}/debuginfo/${id}.debug`)
    const found = debug.ok ? debug : await fetch(`${url}/debuginfo/${id}`)
    const { archive, member } = (await found.json()) as { archive: string; member: string }
    expect(member).toBe(`lib/debug/.build-id/ab/${id.slice(2)}.debug`)
    expect((await fetch(new URL(archive, `${url}/debuginfo/`))).status).toBe(200)
    expect(errors).toEqual([])
  })

  it('nothing to a cache for reading only', async () => {
    const store = await temporaryStore()
    const { url } = await served(store, { readOnly: true })
    const nix = new PrivateNix()
    const path = await nix.run('nix-store', '--add', tree())
    const { status, stderr } = await nix.try('nix', 'copy', '--to', url, path)
    expect(status).not.toBe(0)
    expect(stderr).toContain('403')
    expect((await store.pathInfos.list()[Symbol.asyncIterator]().next()).done).toBe(true)
  })
})
