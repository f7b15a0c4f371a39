import { createReadStream, statSync } from 'node:fs'
import { connect } from 'node:net'
import { hostPath } from './arguments.js'
import type { Context } from './context.js'
import { systemReason, UsageError } from './messages.js'

const PIECE = 256 * 1024

/** Something that the user named cannot be read. */
export class InputError extends Error {
  override readonly name = 'InputError'
  readonly code = 'input'

  /** @param input what it is, in words for a person */
  constructor(
    readonly input: string,
    reason: string,
    options?: { readonly cause?: unknown },
  ) {
    super(`cannot read ${input}: ${reason}`, options)
  }
}

/** An argument that names an input, as messages call it. */
export function inputName(argument: string): string {
  return argument === '-' ? 'standard input' : argument
}

/**
 * What standard input can be read for: once.
 *
 * @throws UsageError
 */
export function checkInputs(inputs: readonly string[]): void {
  if (inputs.filter((input) => input === '-').length > 1) {
    throw new UsageError('standard input can be read only once')
  }
  if (inputs.includes('')) throw new UsageError('expected a file, - or a socket, got ""')
}

/**
 * The bytes of a file, of standard input (`-`), or of what a unix socket sends until its end (spec 08 section 3.3).
 * Nothing is opened before it is asked for.
 *
 * @throws InputError, UsageError on iterating
 */
export async function* readInput(context: Context, argument: string): AsyncGenerator<Uint8Array> {
  const { stdin, signal } = context.io
  const name = inputName(argument)
  try {
    if (argument === '-') {
      if (stdin === undefined) throw new UsageError('there is no standard input to read')
      yield* stdin
      return
    }
    const path = hostPath(argument)
    const file = typeof path === 'string' ? path : Buffer.from(path)
    if (statSync(file).isSocket()) yield* connect({ path: argument, signal })
    else yield* createReadStream(file, { highWaterMark: PIECE, signal })
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof UsageError) throw error
    throw new InputError(name, systemReason(error), { cause: error })
  }
}
