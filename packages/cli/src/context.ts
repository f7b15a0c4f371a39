import type { Store } from '@neve/store-pathinfo'
import type { Io } from './io.js'
import { describe, exitCodeOf } from './messages.js'
import { type StoreOptions, storeSources } from './store-options.js'

/** Options that every command has. */
export interface GlobalOptions extends StoreOptions {
  /** False with `--no-progress`. */
  readonly progress: boolean
}

/** What one run of a command works with. */
export class Context {
  /** The status to exit with: the worst of what was told to {@link fail}. */
  exitCode: 0 | 1 | 2 = 0
  /** Set by what runs until it is told to stop: being interrupted is then no failure. */
  runsUntilStopped = false

  constructor(readonly io: Io) {}

  /** Whether progress may be drawn. */
  showsProgress(options: GlobalOptions): boolean {
    return options.progress && this.io.stderr.isTerminal && this.io.stderr.stream !== undefined
  }

  /** Opens the store that the options name. Close it, or use `await using`. */
  async openStore(options: GlobalOptions, access: 'read' | 'write'): Promise<Store> {
    const sources = storeSources(options)
    const readOnly = access === 'read'
    // The engine with its native parts is loaded only by what opens a store.
    const { openStore } = await import('@neve/store-pathinfo')
    return typeof sources === 'object'
      ? openStore({ ...sources, readOnly })
      : openStore(sources, { readOnly })
  }

  /** Tells what failed, in one line, and lets the command go on with the rest. */
  fail(error: unknown, about?: string): void {
    const prefix = about === undefined ? '' : `${about}: `
    this.io.stderr.write(`neve: ${prefix}${describe(error, this.io.debug)}\n`)
    this.exitCode = Math.max(this.exitCode, exitCodeOf(error)) as 0 | 1 | 2
  }
}
