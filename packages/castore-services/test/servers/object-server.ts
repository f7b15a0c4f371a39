import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, it } from 'vitest'
import type { ServerProcess } from './server-process.js'

/** A server of object storage that runs, with a bucket in it. */
export interface RunningObjectServer {
  readonly process: ServerProcess
  /** Where it listens: `http://127.0.0.1:PORT`. */
  readonly origin: string
  /** The URL of a place in its bucket, without the prefix `objectstore+`. */
  url(path: string): string
  /** What is needed beside the URL, in the words of the reference. */
  readonly options: Readonly<Record<string, string>>
  /** The options for somebody who stands between us and it. */
  optionsAt(origin: string): Readonly<Record<string, string>>
}

/** A kind of server that tests can have. */
export interface ObjectServer {
  readonly name: string
  /** Why it cannot be started here; undefined when it can. */
  readonly missing: string | undefined
  start(): Promise<RunningObjectServer>
}

/**
 * Registers tests that need a real server. It is started before them and stopped after them. Where it is not installed
 * they are skipped, saying why; with NEVE_TEST_REQUIRE=all they fail instead.
 */
export function describeWithServer(
  server: ObjectServer,
  register: (running: () => RunningObjectServer) => void,
): void {
  const { missing } = server
  if (missing !== undefined) {
    it(`${server.name} is installed`, ({ skip }) => {
      if (process.env['NEVE_TEST_REQUIRE'] === 'all') throw new Error(missing)
      skip(missing)
    })
    return
  }
  describe(`with ${server.name}`, () => {
    let running: RunningObjectServer | undefined
    beforeAll(async () => {
      running = await server.start()
    })
    afterAll(() => running?.process.stop())
    register(() => running!)
  })
}

/** A place that nobody has used. */
export function newPrefix(): string {
  return `test/${randomUUID()}`
}
