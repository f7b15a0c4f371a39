import { type Command, Option } from 'commander'
import { UsageError } from '../messages.js'

/** From nothing to everything. */
export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug', 'trace'] as const
/** One of {@link LOG_LEVELS}. */
export type LogLevel = (typeof LOG_LEVELS)[number]

const FORMATS = ['text', 'json'] as const
/** How lines of the log look. */
export type LogFormat = (typeof FORMATS)[number]

/** Options of what is told on standard error (spec 08 section 2.1). */
export interface LogOptions {
  readonly logLevel?: string | undefined
  readonly logFormat?: string | undefined
  /** How often `-v` was given. */
  readonly verbose?: number | undefined
  /** How often `-q` was given. */
  readonly quiet?: number | undefined
}

/** The flags that take a value. */
export const LOG_FLAGS: readonly string[] = ['--log-level', '--log-format']

/** Adds the options to the program. */
export function addLogOptions(program: Command): Command {
  const count = (_: string, before: number | undefined) => (before ?? 0) + 1
  return program
    .addOption(new Option('-v, --verbose', 'tell more on standard error; twice: everything').argParser(count))
    .addOption(
      new Option(
        '-q, --quiet',
        'only warnings and errors, no progress; twice: errors; thrice: nothing',
      ).argParser(count),
    )
    .option('--log-level <level>', `${LOG_LEVELS.join(', ')}, or 1 (error) to 5 (default: info)`)
    .option('--log-format <format>', 'text, or json: a line for each event (default: text)')
}

/** What is to be told, and how. */
export interface LogSettings {
  readonly level: LogLevel
  readonly format: LogFormat
}

/**
 * What options and environment say of the log. `-v` and `-q` count from `info` and go before `NEVE_LOG`.
 *
 * @throws UsageError for a level or format that there is not
 */
export function logSettings(
  options: LogOptions,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): LogSettings {
  const { verbose = 0, quiet = 0, logLevel, logFormat } = options
  if (logLevel !== undefined && verbose + quiet > 0) {
    throw new UsageError('--log-level cannot be given together with -v or -q')
  }
  return {
    level: verbose + quiet > 0 ? counted(verbose - quiet) : level(logLevel, environment['NEVE_LOG']),
    format: format(logFormat, environment['NEVE_LOG_FORMAT']),
  }
}

const INFO = LOG_LEVELS.indexOf('info')

function counted(steps: number): LogLevel {
  return LOG_LEVELS[Math.min(Math.max(INFO + steps, 0), LOG_LEVELS.length - 1)]!
}

function level(flag: string | undefined, variable: string | undefined): LogLevel {
  const [text, name] = flag === undefined ? [variable ?? '', 'NEVE_LOG'] : [flag, '--log-level']
  if (flag === undefined && text === '') return 'info'
  const found = /^[1-5]$/.test(text)
    ? LOG_LEVELS[Number(text)]
    : LOG_LEVELS.find((each) => each === text.toLowerCase())
  if (found !== undefined) return found
  throw new UsageError(
    `${name}: unknown level "${text}", expected one of ${LOG_LEVELS.join(', ')}, or 1 to 5`,
  )
}

function format(flag: string | undefined, variable: string | undefined): LogFormat {
  const [text, name] = flag === undefined ? [variable ?? '', 'NEVE_LOG_FORMAT'] : [flag, '--log-format']
  if (flag === undefined && text === '') return 'text'
  const found = FORMATS.find((each) => each === text.toLowerCase())
  if (found !== undefined) return found
  throw new UsageError(`${name}: unknown format "${text}", expected text or json`)
}
