import { mapOrdered } from '@neve/castore-services'
import { beforeAll, describe } from 'vitest'
import { type CleanRun, cleanRun, faultyRun, type Outcome } from './faulty-run.js'
import { OPERATIONS, type Operation } from './operations.js'
import type { Direction, Fault } from './tcp-proxy.js'

/** The ways that bytes go. */
export const DIRECTIONS: readonly Direction[] = ['up', 'down']

/** A fault, and where. */
export interface Try {
  readonly direction: Direction
  readonly fault: Fault
}

/** What a case has to work with. */
export interface FaultCase {
  readonly operation: Operation
  /** What goes over the wire when all is well. */
  clean(): CleanRun
  /** A fault at so many places of each direction: the first few bytes, some evenly spread, the last. */
  spread(count: number, fault: (after: number) => Fault): Try[]
  /** A fault where messages end, of each direction at most so many. */
  atEnds(count: number, fault: (after: number) => Fault): Try[]
  /** Runs the operation once with each fault; nothing wrong may come of any. */
  run(tries: readonly Try[], options?: RunOptions): Promise<Outcome[]>
}

/** How the runs are made. */
export interface RunOptions {
  readonly once?: boolean
  readonly changed?: boolean
  readonly timeout?: number
}

/** Runs are short of nothing but time: they wait for pauses between attempts, most of the while. */
const CONCURRENCY = 12

/** Registers cases for every operation on the wire. */
export function eachOperation(cases: (given: FaultCase) => void): void {
  for (const operation of OPERATIONS) describe(operation.name, () => cases(faultCase(operation)))
}

function faultCase(operation: Operation): FaultCase {
  let clean: CleanRun | undefined
  beforeAll(async () => {
    clean = await cleanRun(operation)
  })
  const found = (): CleanRun => {
    if (clean === undefined) throw new Error('expected to be called within a case')
    return clean
  }
  const triesOf = (pick: (direction: Direction) => readonly number[], fault: (after: number) => Fault) =>
    DIRECTIONS.flatMap((direction) =>
      pick(direction).map((after): Try => ({ direction, fault: fault(after) })),
    )
  return {
    operation,
    clean: found,
    spread: (count, fault) => triesOf((direction) => places(found().bytes[direction], count), fault),
    atEnds: (count, fault) => triesOf((direction) => some(found().ends[direction], count), fault),
    run: async (tries, options = {}) => {
      const outcomes: Outcome[] = []
      const one = ({ direction, fault }: Try) =>
        faultyRun(operation, { direction, fault, once: false, clean: found(), ...options })
      for await (const outcome of mapOrdered(tries, CONCURRENCY, one)) outcomes.push(outcome)
      return outcomes
    },
  }
}

function places(bytes: number, count: number): number[] {
  const spread = Array.from({ length: count }, (_, index) => Math.floor((bytes * index) / count))
  return [...new Set([0, 1, 9, 24, ...spread, bytes - 1])].filter((place) => place >= 0 && place < bytes)
}

/** At most so many of them, evenly chosen. */
function some<T>(items: readonly T[], count: number): T[] {
  const step = Math.max(1, items.length / count)
  const chosen = Array.from({ length: Math.min(count, items.length) }, (_, index) => Math.floor(index * step))
  return chosen.map((index) => items[index]!)
}
