import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { StorePath } from '@neve/nix-compat'
import { openLocalStore } from '@neve/store-pathinfo'
import { describe, expect, test } from 'vitest'
import { startDaemon, startOnSocket, whenGrown } from './servers.js'
import { neve, newStore, noise, ONE_LINE, sampleTree, temporaryFolder } from './support.js'

/** A store with a path that references another one. */
async function storeOfTwo(): Promise<{ store: string; base: string; top: string }> {
  const folder = temporaryFolder()
  const store = join(folder, 'store')
  const tree = sampleTree(folder)
  writeFileSync(join(folder, 'base'), 'referenced')
  await using opened = await openLocalStore(store)
  const base = await opened.importPath(join(folder, 'base'))
  const top = await opened.importPath(tree)
  await opened.pathInfos.put({ ...top.pathInfo, references: [base.storePath] })
  return { store, base: base.storePath.toAbsolute(), top: top.storePath.toAbsolute() }
}

describe('push and pull', () => {
  test('through a daemon on a socket, and by TCP; byte for byte', async () => {
    const { store, base, top } = await storeOfTwo()
    const served = await startOnSocket('daemon')
    const pushed = await neve(['push', '--store', store, '--to', `grpc+unix:${served.socket}`, top])
    expect(pushed).toMatchObject({ code: 0, stderr: '', lines: [base, top] })
    const again = await neve([
      ...['push', '--store', store, '--to', `grpc+unix:${served.socket}`, top, '--json'],
    ])
    expect(again.code).toBe(0)
    expect(JSON.parse(again.stdout.toString())).toEqual({
      paths: 2,
      copiedPaths: 0,
      presentPaths: 2,
      directories: 0,
      blobs: 0,
      bytes: 0,
      readBytes: 0,
      presentBlobs: 0,
      failedPaths: 0,
    })
    const tcp = await startDaemon(['--listen-address', '127.0.0.1:0', '--store', served.store], {}, 'daemon')
    const target = newStore()
    const pulled = await target.run('pull', '--from', tcp.urls[0]!, '--all', '--check-nars')
    expect([pulled.code, pulled.stderr, [...pulled.lines].sort()]).toEqual([0, '', [base, top].sort()])
    const nar = await neve(['nar', '--store', store, top])
    expect((await target.run('nar', top)).stdout.equals(nar.stdout)).toBe(true)
    // A daemon is a whole store for every command.
    for (const address of [`grpc+unix:${served.socket}`, tcp.urls[0]!]) {
      expect((await neve(['nar', '--store', address, top])).stdout.equals(nar.stdout)).toBe(true)
      expect((await neve(['ls', top], { env: { NEVE_STORE: address } })).code).toBe(0)
    }
  })

  test('a bucket is a whole store; a composition file, too', async () => {
    const { store, base, top } = await storeOfTwo()
    const folder = temporaryFolder()
    const bucket = `objectstore+file://${folder}/bucket`
    expect(await neve(['push', '--store', store, '--to', bucket, top])).toMatchObject({ code: 0 })
    const config = join(folder, 'stores.toml')
    const table = (kind: string): string =>
      `[${kind}.default]\ntype = "objectstore"\nobject_store_url = "file://${folder}/bucket"\n`
    writeFileSync(config, ['blobservices', 'directoryservices', 'pathinfoservices'].map(table).join('\n'))
    const target = newStore()
    const pulled = await target.run('pull', '--from', config, top, '--no-closure')
    expect(pulled).toMatchObject({ code: 0, lines: [top] })
    expect((await target.run('pull', '--from', bucket, base, '--no-recursive')).lines).toEqual([base])
    const nar = await neve(['nar', '--store', bucket, top])
    expect(nar.code).toBe(0)
    expect((await target.run('nar', top)).stdout.equals(nar.stdout)).toBe(true)
  })

  test('--keep-going copies what it can, and tells of the others', async () => {
    const { store, base, top } = await storeOfTwo()
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'alone'), 'references nothing')
    const [alone] = (await neve(['import', '--store', store, join(folder, 'alone')])).lines
    const target = newStore()
    // Other contents under the same path: what references it cannot be copied either.
    await using opened = await openLocalStore(target.path)
    writeFileSync(join(folder, 'other'), 'other contents')
    const other = await opened.importPath(join(folder, 'other'))
    await opened.pathInfos.put({ ...other.pathInfo, storePath: StorePath.parseAbsolute(base) })

    const stopped = await neve(['push', '--store', store, '--to', target.path, alone!, top])
    expect([stopped.code, stopped.lines]).toEqual([1, []])
    const pushed = await neve(['push', '--store', store, '--to', target.path, '--keep-going', alone!, top])
    expect([pushed.code, pushed.lines]).toEqual([1, [alone]])
    const errors = pushed.stderr.trimEnd().split('\n')
    expect(errors).toHaveLength(2)
    expect(errors[0]).toContain(`${base} with another NAR hash`)
    expect(errors[1]).toContain(`${top} was not copied: it references ${base}`)
  })

  test('killed half-way, nothing half-present is seen, and the second push sends the rest', async () => {
    const folder = temporaryFolder()
    const tree = join(folder, 'large')
    mkdirSync(tree)
    const [files, size] = [200, 250_000]
    for (let i = 0; i < files; i++) writeFileSync(join(tree, `f${i}`), noise(size, i + 1))
    const store = join(folder, 'store')
    const { lines } = await neve(['import', '--store', store, tree])
    const served = await startOnSocket('daemon')
    const push = ['push', '--store', store, '--to', `grpc+unix:${served.socket}`, '--json', lines[0]!]
    const killed = await neve(push, {
      onStart: (child) => whenGrown(served.store, 5_000_000, () => child.kill('SIGKILL')),
    })
    expect(killed.code).toBeUndefined()
    expect(await neve(['ls', '--store', served.store, lines[0]!])).toMatchObject({ code: 1 })
    const second = JSON.parse((await neve(push)).stdout.toString())
    expect(second).toMatchObject({ copiedPaths: 1, directories: 1 })
    expect(second.blobs + second.presentBlobs).toBe(files)
    expect(second.presentBlobs).toBeGreaterThan(10)
    expect(second.bytes).toBe(second.blobs * size)
    const nar = await neve(['nar', '--store', store, lines[0]!])
    expect((await neve(['nar', '--store', served.store, lines[0]!])).stdout.equals(nar.stdout)).toBe(true)
  })

  test('what is not there, nobody there, no store path', async () => {
    const { store, top } = await storeOfTwo()
    const absent = top.replace('sample', 'absent')
    const target = join(temporaryFolder(), 'target')
    for (const [args, message] of [
      [['--to', target, absent], `${absent} is not in the source`],
      [['--to', `grpc+unix:${target}.sock`, top], 'UNAVAILABLE'],
    ] as const) {
      const { code, stderr } = await neve(['push', '--store', store, ...args])
      expect(code).toBe(1)
      expect(stderr).toMatch(ONE_LINE)
      expect(stderr).toContain(message)
    }
  })
})
