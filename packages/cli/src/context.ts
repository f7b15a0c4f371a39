import type { Store } from '@neve/store-pathinfo'
import type { Io } from './io.js'
import { describe, exitCodeOf, UsageError } from './messages.js'

/** Options that every command has. */
export interface GlobalOptions {
  readonly store?: string | undefined
  /** False with `--no-progress`. */
  readonly progress: boolean
}

/** What one run of a command works with. */
export class Context {
  /** The status to exit with: the worst of what was told to {@link fail}. */
  exitCode: 0 | 1 | 2 = 0

  constructor(readonly io: Io) {}

  /** Whether progress may be drawn. */
  showsProgress(options: GlobalOptions): boolean {
    return options.progress && this.io.stderr.isTerminal && this.io.stderr.stream !== undefined
  }

  /** Opens the store that the options name. Close it, or use `await using`. */
  async openStore(options: GlobalOptions, access: 'read' | 'write'): Promise<Store> {
    if (options.store === '') throw new UsageError('--store needs an address, got ""')
    // The engine with its native parts is loaded only by what opens a store.
    const { openStore } = await import('@neve/store-pathinfo')
    return openStore(options.store, { readOnly: access === 'read' })
  }

  /** Tells what failed, in one line, and lets the command go on with the rest. */
  fail(error: unknown, about?: string): void {
    const prefix = about === undefined ? '' : `${about}: `
    this.io.stderr.write(`neve: ${prefix}${describe(error, this.io.debug)}\n`)
    this.exitCode = Math.max(this.exitCode, exitCodeOf(error)) as 0 | 1 | 2
  }
}
