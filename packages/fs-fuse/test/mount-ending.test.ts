import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { BLOB_A, BLOB_A_NAME, BLOB_B, BLOB_B_NAME, fileNode } from './fixtures.js'
import { cannotMount, FixtureMount, users } from './mount/fixture-mount.js'

const SPEC = {
  roots: { [BLOB_A_NAME]: fileNode(BLOB_A), [BLOB_B_NAME]: fileNode(BLOB_B) },
  blobs: [BLOB_A, BLOB_B],
}

function isMounted(path: string): boolean {
  return readFileSync('/proc/self/mounts', 'utf8').includes(` ${path} `)
}

/** A program that runs to its end as somebody, without standing still. */
async function run(uid: number, program: string, ...args: string[]): Promise<number | null> {
  const identity = process.getuid?.() === 0 ? { uid, gid: uid } : {}
  const child = spawn(program, args, { ...identity, stdio: 'ignore', cwd: '/', timeout: 60_000 })
  const [code] = await once(child, 'exit')
  return code as number | null
}

describe.skipIf(cannotMount).each(users)('05#35 a mount by $name ends', (user) => {
  it('when it is asked to, twice', async () => {
    const mount = await FixtureMount.open(user, SPEC)
    await mount.tell('unmountTwice').catch(() => {})
    expect(await mount.exited).toBe(0)
    expect(isMounted(mount.path)).toBe(false)
  })

  it('when it is unmounted from outside, by umount or fusermount3', async () => {
    const programs = user.uid === 0 ? [['umount'], ['fusermount3', '-u']] : [['fusermount3', '-u']]
    for (const [program = '', ...args] of programs) {
      const mount = await FixtureMount.open(user, SPEC)
      expect(await run(user.uid, program, ...args, mount.path)).toBe(0)
      expect(await mount.line()).toBe('ended')
      expect(await mount.exited).toBe(0)
      expect(isMounted(mount.path)).toBe(false)
    }
  })

  it('when its process gets a signal', async () => {
    const mount = await FixtureMount.open(user, SPEC)
    mount.server.kill('SIGTERM')
    expect(await mount.exited).toBe(0)
    expect(isMounted(mount.path)).toBe(false)
  })

  it('while a file is open: out of sight at once, and who has it open still reads', async () => {
    const mount = await FixtureMount.open(user, SPEC)
    const reader = spawn(
      'sh',
      ['-c', 'exec 3<"$1"; echo open; read go; wc -c <&3', 'sh', `${mount.path}/${BLOB_B_NAME}`],
      {
        ...(process.getuid?.() === 0 && { uid: user.uid, gid: user.uid }),
        stdio: ['pipe', 'pipe', 'ignore'],
        timeout: 60_000,
      },
    )
    expect(String((await once(reader.stdout, 'data'))[0])).toBe('open\n')
    const ended = mount.tell('unmount').catch(() => {})
    while (isMounted(mount.path)) await run(user.uid, 'true')
    reader.stdin.end('go\n')
    expect(String((await once(reader.stdout, 'data'))[0]).trim()).toBe(String(BLOB_B.length))
    await ended
    expect(await mount.exited).toBe(0)
  })

  it('while a read is pending, which fails when the process ends', async () => {
    const mount = await FixtureMount.open(user, SPEC)
    await mount.tell('hold', 'read')
    const { outcome } = mount.begin(['read', BLOB_A_NAME])
    while ((await mount.stats()).reads === 0);
    mount.server.kill('SIGKILL')
    const [read] = await outcome
    expect(['EIO', 'ECONNABORTED', 'ENOTCONN']).toContain(read?.error)
  })

  it('by SIGKILL while files are open: nobody hangs, and what is left can be taken away', async () => {
    const mount = await FixtureMount.open(user, SPEC)
    expect((await mount.one('read', BLOB_A_NAME)).value).toMatchObject({ hex: '0001' })
    mount.server.kill('SIGKILL')
    await mount.exited
    expect(isMounted(mount.path)).toBe(true)
    const [status, listing] = await mount.look(['stat', BLOB_B_NAME], ['openListing', ''])
    expect(status).toEqual({ error: 'ENOTCONN' })
    expect(listing).toEqual({ error: 'ENOTCONN' })
    expect(await run(user.uid, 'fusermount3', '-u', mount.path)).toBe(0)
    expect(isMounted(mount.path)).toBe(false)
  })

  it('by SIGKILL, and another takes its place, though the kernel still knows the attributes of its root', async () => {
    const mount = await FixtureMount.open(user, SPEC)
    await mount.one('stat', '')
    mount.server.kill('SIGKILL')
    await mount.exited
    expect((await mount.one('stat', '')).value).toMatchObject({ kind: 'directory' })
    const next = await FixtureMount.open(user, SPEC, mount)
    expect((await next.one('read', BLOB_A_NAME)).value).toMatchObject({ hex: '0001' })
    await next.unmount()
    expect(isMounted(mount.path)).toBe(false)
  })
})

describe.skipIf(cannotMount || users[0]?.uid !== 0)('who may enter', () => {
  it('is nobody else, unless they are let in', async () => {
    const mount = await FixtureMount.open(users[0]!, SPEC)
    const place = `${mount.path}/${BLOB_A_NAME}`
    expect(spawnSync('stat', [place], { uid: 65534, cwd: '/', timeout: 60_000 }).status).toBe(1)
    expect(spawnSync('stat', [place], { cwd: '/', timeout: 60_000 }).status).toBe(0)
    await mount.unmount()
  })
})
