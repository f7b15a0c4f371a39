import { readdirSync, readlinkSync } from 'node:fs'
import { afterAll, beforeAll, expect } from 'vitest'

/** What this process holds open: sockets and files by kind, and what keeps the event loop alive. */
export interface Held {
  readonly descriptors: number
  readonly sockets: number
  readonly resources: Readonly<Record<string, number>>
}

const COUNTED = /Socket|Pipe|TCP|Server|Timeout|FSReq|HTTP2|Immediate/

export function held(): Held {
  const resources: Record<string, number> = {}
  for (const name of process.getActiveResourcesInfo()) {
    if (COUNTED.test(name)) resources[name] = (resources[name] ?? 0) + 1
  }
  const links = readdirSync('/proc/self/fd').flatMap((name) => {
    try {
      return [readlinkSync(`/proc/self/fd/${name}`)]
    } catch {
      // The descriptor of the listing itself.
      return []
    }
  })
  return {
    descriptors: links.length,
    sockets: links.filter((link) => link.startsWith('socket:')).length,
    resources,
  }
}

/** What is held now and was not before, in words. */
function excess(before: Held, now: Held): string[] {
  const counts: [string, number, number][] = [
    ['descriptors', before.descriptors, now.descriptors],
    ['sockets', before.sockets, now.sockets],
    ...Object.keys(now.resources).map((name): [string, number, number] => [
      name,
      before.resources[name] ?? 0,
      now.resources[name] ?? 0,
    ]),
  ]
  return counts
    .filter(([, old, count]) => count > old)
    .map(([name, old, count]) => `${name}: ${old} -> ${count}`)
}

/**
 * Counts before and after all tests of the file what the process holds: descriptors, sockets, timers. What was let go of
 * may take a few turns of the event loop to be gone.
 *
 * @param warmUp does once what the tests do, for what is made with the first call and kept for ever
 */
export function expectNoLeaks(warmUp: () => Promise<void> = async () => {}): void {
  let before: Held
  beforeAll(async () => {
    await warmUp()
    before = await calmest()
  })
  afterAll(async () => {
    const end = performance.now() + 10_000
    let left = excess(before, held())
    while (left.length > 0 && performance.now() < end) {
      await turn()
      left = excess(before, held())
    }
    expect(left).toEqual([])
  })
}

/** The least that is held within a few hundred turns: what is on its way out does not count. */
async function calmest(): Promise<Held> {
  let least = held()
  for (let index = 0; index < 300; index++) {
    await turn()
    const now = held()
    if (excess(now, least).length > 0) least = now
  }
  return least
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1))
}
