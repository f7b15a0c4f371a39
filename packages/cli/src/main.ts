import { setMaxListeners } from 'node:events'
import { losslessArguments } from './arguments.js'
import type { Io } from './io.js'
import { FdOutput } from './output/fd-output.js'
import { EXIT_INTERRUPTED, run } from './run.js'

/** What a shell reports for a program that was stopped by Ctrl-C, by `kill`. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const

/** What progress bars take away from a terminal: the cursor, and the wrapping of lines. */
const SHOW_CURSOR = '\x1b[?25h\x1b[?7h'

/**
 * Runs the command line of this process, with its standard streams and signals, and ends the process.
 *
 * @param before words put before the arguments of this process: for a program that is one command of `neve`
 */
export async function main(before: readonly string[] = []): Promise<never> {
  const controller = new AbortController()
  // A store makes any number of calls at once, and each of them listens.
  setMaxListeners(0, controller.signal)
  let stopped: number | undefined
  for (const [name, exitCode] of Object.entries(SIGNALS)) {
    process.on(name, () => {
      // Whoever asks twice does not want to wait for anything to be cleared up.
      if (stopped !== undefined) {
        if (process.stderr.isTTY) process.stderr.write(SHOW_CURSOR)
        process.exit(exitCode)
      }
      stopped = exitCode
      controller.abort(new Error('interrupted'))
    })
  }
  const debug = !['', '0', undefined].includes(process.env['NEVE_DEBUG'])
  // Standard error is for messages of ours: what Node has to say about libraries is for who looks for mistakes.
  if (!debug) process.removeAllListeners('warning')
  // Messages for nobody are no reason to fail.
  process.stderr.on('error', () => {})
  const { signal } = controller
  const io: Io = {
    // Opened by whoever reads it.
    get stdin() {
      return process.stdin
    },
    stdout: new FdOutput(1, 'standard output', { isTerminal: process.stdout.isTTY === true, signal }),
    stderr: {
      isTerminal: process.stderr.isTTY === true,
      stream: process.stderr,
      write: (text) => void process.stderr.write(text),
    },
    signal,
    debug,
  }
  const exitCode = await run([...before, ...losslessArguments(process.argv.slice(2))], io)
  process.exit(exitCode === EXIT_INTERRUPTED ? (stopped ?? exitCode) : exitCode)
}
