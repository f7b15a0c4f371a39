import { readdirSync } from 'node:fs'
import { expect, it, vi } from 'vitest'
import type { ServiceFixture } from './service-fixture.js'

const LIVES = 5
/** What a service may hold while it lives, and not after. Timers come and go with the test runner's own. */
const COUNTED = /Wrap$|Socket|Server|Worker|MessagePort|FSEvent|FileHandle|Signal/

function resources(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const kind of process.getActiveResourcesInfo()) {
    if (COUNTED.test(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  }
  const descriptors = openDescriptors()
  if (descriptors !== undefined) counts.set('descriptors', descriptors)
  return counts
}

function openDescriptors(): number | undefined {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return undefined
  }
}

/**
 * Makes, uses and lets go of a service several times: after the first, which may start what a process shares, nothing
 * may be left behind.
 */
export function leakCases<S extends { close?(): Promise<void> }>(
  fixture: ServiceFixture<S>,
  use: (service: S) => Promise<void>,
): void {
  it('leaves nothing open behind: sockets, descriptors, threads', async () => {
    const live = async () => {
      const service = await fixture.create()
      try {
        await use(service)
      } finally {
        if (fixture.dispose) await fixture.dispose(service)
        else await service.close?.()
      }
    }
    await live()
    await live()
    const before = resources()
    for (let round = 0; round < LIVES; round++) await live()
    // What is being closed may take a moment; one more than before each time would be LIVES more.
    await vi.waitFor(
      () => {
        const after = resources()
        for (const [kind, count] of after) {
          expect(count, `${kind} after ${LIVES} more services`).toBeLessThan((before.get(kind) ?? 0) + LIVES)
        }
      },
      { timeout: 3000, interval: 20 },
    )
  })
}
