import { readFile, stat } from 'node:fs/promises'
import { z } from 'zod'
import { CompositionError } from './errors.js'
import { Redactor } from './redact.js'

/** Text that may be secret: itself, or where it is (spec 04 section 10, W11). */
export type SecretText = string | { readonly env: string } | { readonly file: string }

const EXPECTED = 'expected text, { env = "NAME" } or { file = "/path" }'
const MAX_FILE_SIZE = 64 * 1024

/** Schema of text that may be secret. It is resolved when the instance is built, by `context.secret`. */
export const secretText = (): z.ZodType<SecretText> =>
  z.union(
    [
      z.string(),
      z.strictObject({
        env: z
          .string()
          .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'expected the name of an environment variable' }),
      }),
      z.strictObject({ file: z.string().regex(/^\//, { error: 'expected an absolute path' }) }),
    ],
    { error: EXPECTED },
  )

/**
 * Schema of an address that may be secret, or have secrets in it.
 *
 * @param check throws when what is written there is no such address; what comes from elsewhere is checked when building
 */
export const addressText = (check: (address: string) => unknown): z.ZodType<SecretText> =>
  secretText().superRefine((value, context) => {
    if (typeof value !== 'string') return
    try {
      check(value)
    } catch (error) {
      const redactor = new Redactor()
      redactor.addAddress(value)
      const message = redactor.text(error instanceof Error ? error.message : String(error))
      context.addIssue({ code: 'custom', message })
    }
  })

/**
 * The text itself: as written, from the environment, or from a file without the line break at its end.
 *
 * @throws CompositionError `secret` when it is not there; the message says where it was looked for, not what was found
 */
export async function resolveSecret(
  secret: SecretText,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  if (typeof secret === 'string') return secret
  if ('env' in secret) {
    const value = environment[secret.env]
    if (value === undefined || value === '') {
      throw new CompositionError('secret', `environment variable ${secret.env} is not set`)
    }
    return value
  }
  return readSecretFile(secret.file)
}

async function readSecretFile(path: string): Promise<string> {
  try {
    const { size } = await stat(path)
    if (size > MAX_FILE_SIZE) throw new Error(`it has ${size} bytes, expected at most ${MAX_FILE_SIZE}`)
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path))
    const value = text.replace(/\r?\n$/, '')
    if (value === '') throw new Error('it is empty')
    return value
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new CompositionError('secret', `cannot read secret from file ${path}: ${reason}`, { cause })
  }
}
