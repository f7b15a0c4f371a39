import { CommanderError } from 'commander'
import { Context } from './context.js'
import type { Io } from './io.js'
import { openTelemetry } from './observe/open-telemetry.js'
import type { Telemetry } from './observe/telemetry.js'
import { OutputClosedError } from './output/errors.js'
import { buildProgram, commandName } from './program.js'

/** What a shell reports for a program whose reader went away. */
const EXIT_OUTPUT_CLOSED = 141
export const EXIT_INTERRUPTED = 130

/**
 * Runs one command line of `neve`. Messages about failures have been written when it settles; it does not reject.
 *
 * @param argv what follows `neve`
 * @param io what the command reads from and writes to
 * @returns the exit status: 0, 1 when something failed, 2 for a mistake in the command line, 130 when interrupted, 141
 *   when nobody read the output any more
 */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const context = new Context(io)
  const begun = performance.now()
  let telemetry: Telemetry | undefined
  try {
    telemetry = await openTelemetry(context)
    const work = async (): Promise<void> => {
      const program = await buildProgram(context, argv)
      await program.parseAsync(helpRequest(argv), { from: 'user' })
      await io.stdout.flush()
    }
    await (telemetry === undefined ? work() : telemetry.span(`neve ${commandName(argv) ?? ''}`.trim(), work))
  } catch (error) {
    if (io.signal.aborted && !context.runsUntilStopped) return EXIT_INTERRUPTED
    if (error instanceof OutputClosedError) return EXIT_OUTPUT_CLOSED
    if (!(error instanceof CommanderError)) context.fail(error)
    else if (error.exitCode !== 0) return 2
    try {
      await io.stdout.flush()
    } catch (failure) {
      if (failure instanceof OutputClosedError) return EXIT_OUTPUT_CLOSED
      if (failure !== error) context.fail(failure)
    }
  } finally {
    await telemetry?.shutdown()
    context.debug({ ms: Math.round(performance.now() - begun) }, 'finished')
  }
  return io.signal.aborted && !context.runsUntilStopped ? EXIT_INTERRUPTED : context.exitCode
}

/** `help ls` as `ls --help`. */
function helpRequest(argv: readonly string[]): string[] {
  if (argv[0] !== 'help') return [...argv]
  return argv.length === 1 ? ['--help'] : [...argv.slice(1), '--help']
}
