import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { EmbeddedStore } from '@neve/embedded-store'
import { describe, expect, it } from 'vitest'
import { temporaryFolder } from './support.js'

const isMissing = process.platform !== 'linux' || spawnSync('flock', ['--version']).status !== 0
if (isMissing && process.env['NEVE_TEST_REQUIRE'] === 'all') throw new Error('flock of util-linux is missing')

const OPENER = `
  const { EmbeddedStore } = await import(${JSON.stringify(import.meta.resolve('@neve/embedded-store'))})
  const store = await EmbeddedStore.open(process.argv[1])
  console.log('open')
  await store.close()`

/** Which files of the tables a process has open. */
function openFiles(pid: number | undefined): string[] {
  try {
    const folder = `/proc/${pid}/fd`
    return readdirSync(folder).flatMap((one) => /[a-z]+\.mdb$/.exec(readlinkSync(join(folder, one))) ?? [])
  } catch {
    // One that was closed meanwhile.
    return []
  }
}

/** Who waits inside LMDB for a process that is then killed goes on with a lock file that was never made ready. */
describe.skipIf(isMissing)('the tables', () => {
  it('are opened by one process at a time', async () => {
    const folder = temporaryFolder()
    await (await EmbeddedStore.open(folder)).close()
    const data = join(folder, 'tables', 'data.mdb')
    const holder = spawn('flock', [data, 'cat'], { stdio: ['pipe', 'pipe', 'inherit'] })
    holder.stdin.write('held\n')
    await once(holder.stdout, 'data')
    const opener = spawn(process.execPath, ['--input-type=module', '-e', OPENER, folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let said = ''
    opener.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    const ended = once(opener, 'exit')
    // It has come to the lock, and asks for it again and again; LMDB's own file comes after that.
    for (let seen = 0; seen < 100; seen++) {
      while (!openFiles(opener.pid).includes('data.mdb') && said === '') await new Promise(setImmediate)
      expect(openFiles(opener.pid)).not.toContain('lock.mdb')
      expect(said).toBe('')
    }
    holder.stdin.end()
    expect(await ended).toEqual([0, null])
    expect(said).toBe('open\n')
  })
})
