import { expect } from 'vitest'

type ErrorClass<Failure extends Error> = abstract new (...args: never[]) => Failure

/** Runs what must be refused with an error of one class, and returns that error. */
export function refusal<Failure extends Error>(type: ErrorClass<Failure>, action: () => unknown): Failure {
  let failure: unknown
  try {
    action()
  } catch (error) {
    failure = error
  }
  expect(failure).toBeInstanceOf(type)
  return failure as Failure
}

/** For fuzz loops: the result, or undefined when it was refused with an error of that class. Everything else fails. */
export function acceptedOr<Value>(
  type: abstract new (...args: never[]) => Error,
  action: () => Value,
): Value | undefined {
  try {
    return action()
  } catch (error) {
    if (error instanceof type) return undefined
    throw error
  }
}

export function fromHex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'))
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
