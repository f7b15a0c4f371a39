import { type Logger, pino, stdTimeFunctions } from 'pino'
import type { ErrorStream } from '../io.js'
import { oneLine } from '../messages.js'
import type { LogSettings } from './log-options.js'

export type { Logger }

/**
 * Makes the log of a process. A JSON line has `level`, `time`, `pid` and `msg` beside the fields of the event; a line of
 * text begins with `neve: ` as all messages do, and has the fields after the message.
 *
 * Fields are chosen one by one where something is logged: nothing that came from a client is logged whole.
 */
export function createLogger({ level, format }: LogSettings, stderr: ErrorStream): Logger {
  const destination = {
    write: (line: string) => stderr.write(format === 'json' ? line : textLine(JSON.parse(line))),
  }
  return pino(
    {
      level,
      base: format === 'json' ? { pid: process.pid } : null,
      timestamp: format === 'json' ? stdTimeFunctions.isoTime : false,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  )
}

/** `neve: warning: the call failed method=… code=…` */
function textLine({ level, msg, ...fields }: Record<string, unknown>): string {
  const label = LABELS[String(level)] ?? ''
  const more = Object.entries(fields).filter(([name]) => !SAID.has(name))
  const rest = more.map(([name, value]) => ` ${name}=${fieldText(value)}`)
  return `neve: ${label}${oneLine(String(msg))}${rest.join('')}\n`
}

/** Fields for machines: the message has them. */
const SAID = new Set(['listen_address'])

/** What is told without being asked for needs no label. */
const LABELS: Readonly<Record<string, string>> = {
  error: 'error: ',
  warn: 'warning: ',
  debug: 'debug: ',
  trace: 'trace: ',
}

/** Values that are not plain words are quoted, so that fields can be told apart. */
function fieldText(value: unknown): string {
  const text = typeof value === 'string' ? oneLine(value) : JSON.stringify(value)
  return /^[\w.:/[\]+,-]+$/.test(text) ? text : JSON.stringify(text)
}
