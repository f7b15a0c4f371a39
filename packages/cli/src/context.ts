import type { Store } from '@neve/store-pathinfo'
import type { Io } from './io.js'
import { describe, exitCodeOf } from './messages.js'
import { type LogOptions, type LogSettings, logSettings } from './observe/log-options.js'
import type { Logger } from './observe/logger.js'
import { type StoreOptions, storeSources } from './store-options.js'

/** Options that every command has. */
export interface GlobalOptions extends StoreOptions, LogOptions {
  /** False with `--no-progress`. */
  readonly progress: boolean
}

/** What one run of a command works with. */
export class Context {
  /** The status to exit with: the worst of what was told to {@link fail}; 3 for what a command found out. */
  exitCode: 0 | 1 | 2 | 3 = 0
  /** Set by what runs until it is told to stop: being interrupted is then no failure. */
  runsUntilStopped = false
  #logging: LogSettings = { level: 'info', format: 'text' }
  #log: Logger | undefined

  constructor(readonly io: Io) {}

  /**
   * Takes note of what is to be told on standard error.
   *
   * @throws UsageError
   */
  async setLogging(options: LogOptions): Promise<void> {
    this.#logging = logSettings(options)
    // Most commands have nothing to tell but failures, which are written without it.
    if (this.#logging.format === 'json' || this.#logging.level !== 'info') await this.log()
  }

  /** The log of this process, on standard error. It is loaded by who has something to tell. */
  async log(): Promise<Logger> {
    if (this.#log === undefined) {
      const { createLogger } = await import('./observe/logger.js')
      this.#log ??= createLogger(this.#logging, this.io.stderr)
    }
    return this.#log
  }

  /** Tells something that only who looks for trouble wants to know. */
  debug(fields: Readonly<Record<string, unknown>>, message: string): void {
    this.#log?.debug(fields, message)
  }

  /** Whether a person wants to be told how it went. */
  get showsSummary(): boolean {
    const { level, format } = this.#logging
    return this.io.stderr.isTerminal && format === 'text' && !['silent', 'error', 'warn'].includes(level)
  }

  /** Whether progress may be drawn. */
  showsProgress(options: GlobalOptions): boolean {
    return options.progress && this.showsSummary && this.io.stderr.stream !== undefined
  }

  /** Opens the store that the options name. Close it, or use `await using`. */
  async openStore(options: GlobalOptions, access: 'read' | 'write'): Promise<Store> {
    const sources = storeSources(options)
    const readOnly = access === 'read'
    // The engine with its native parts is loaded only by what opens a store.
    const { openStore } = await import('@neve/store-pathinfo')
    const begun = performance.now()
    const opening =
      typeof sources === 'object' ? openStore({ ...sources, readOnly }) : openStore(sources, { readOnly })
    const store = await opening
    this.debug({ access, ms: Math.round(performance.now() - begun) }, 'opened the store')
    return store
  }

  /** Tells what failed, in one line, and lets the command go on with the rest. */
  fail(error: unknown, about?: string): void {
    const message = `${about === undefined ? '' : `${about}: `}${describe(error, this.io.debug)}`
    if (this.#logging.format === 'json') this.#log?.error({ code: codeOf(error) }, message)
    else if (this.#logging.level !== 'silent') this.io.stderr.write(`neve: ${message}\n`)
    this.exitCode = Math.max(this.exitCode, exitCodeOf(error)) as 0 | 1 | 2
  }
}

/** The stable code of an error of ours, or of the host. */
function codeOf(error: unknown): string | undefined {
  const { code } = error as { readonly code?: unknown }
  return typeof code === 'string' ? code : undefined
}
