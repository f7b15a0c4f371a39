import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { COMPLICATED, fileHash, HELLOWORLD, narInfo, narPath, SYMLINK } from './fixtures.js'
import { temporaryFolder } from './support.js'

const SERVER = fileURLToPath(new URL('./killed-server.mjs', import.meta.url))

interface Answer {
  readonly status: number
  readonly body: Buffer
}

/** Does something with a server in a process of its own, which is killed right after the last answer. */
async function untilKilled<T>(
  folder: string,
  use: (ask: (path: string, body?: string | Uint8Array) => Promise<Answer>) => Promise<T>,
): Promise<T> {
  const child = spawn(process.execPath, [SERVER, folder], { stdio: ['ignore', 'pipe', 'inherit'] })
  const gone = once(child, 'exit')
  try {
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    const url = line.toString().trim()
    return await use(async (path, body) => {
      const sent = typeof body === 'object' ? new Uint8Array(body) : body
      const response = await fetch(url + path, sent === undefined ? {} : { method: 'PUT', body: sent })
      return { status: response.status, body: Buffer.from(await response.arrayBuffer()) }
    })
  } finally {
    child.kill('SIGKILL')
    await gone
  }
}

const hashOf = (i: number) => `${i}`.repeat(32)
const archives = [COMPLICATED, HELLOWORLD, SYMLINK]

describe('a server that is killed', () => {
  it('08#10: has every NAR and every narinfo that it has acknowledged', { timeout: 60_000 }, async () => {
    const folder = join(temporaryFolder(), 'store')
    await untilKilled(folder, async (ask) => {
      const puts = archives.map((archive) => ask(narPath(archive), archive))
      expect((await Promise.all(puts)).map(({ status }) => status)).toEqual([200, 200, 200])
    })
    await untilKilled(folder, async (ask) => {
      for (const [i, archive] of archives.entries()) {
        const { status, body } = await ask(narPath(archive))
        expect([status, fileHash(body)]).toEqual([200, fileHash(archive)])
        const info = narInfo(`${hashOf(i)}-dummy`, archive)
        expect((await ask(`/${hashOf(i)}.narinfo`, info)).status).toBe(200)
      }
    })
    await untilKilled(folder, async (ask) => {
      for (const [i, archive] of archives.entries()) {
        const { status, body } = await ask(`/${hashOf(i)}.narinfo`)
        expect([status, body.toString()]).toEqual([200, expect.stringContaining(fileHash(archive))])
        expect((await ask(narPath(archive))).body.equals(archive)).toBe(true)
      }
    })
  })
})
