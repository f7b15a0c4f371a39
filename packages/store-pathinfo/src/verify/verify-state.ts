import { randomBytes } from 'node:crypto'
import { open, readFile, rename, rm, stat } from 'node:fs/promises'
import { StoreError } from '../errors.js'

/** How far a verification of a whole store has come. */
export interface VerifyState {
  /** Digest of the last store path that was checked: 20 bytes. */
  readonly after: Uint8Array
  /** What the verification has counted so far. */
  readonly counts: Readonly<Record<string, number>>
}

/** The longest file that is read, in bytes; what is written has a few hundred. */
const MAX_LENGTH = 64 * 1024
/** How often the file is written, in milliseconds. */
const EVERY = 2000

/**
 * Where a verification of a whole store has come to, in a file: one that is interrupted goes on from there. It lies beside the
 * store rather than in it, for the store may be read-only, or no folder at all.
 */
export class VerifyStateFile {
  readonly #path: string
  readonly #about: string
  #written = Number.NEGATIVE_INFINITY

  /** @param about what is verified, and how */
  constructor(path: string, about: string) {
    this.#path = path
    this.#about = about
  }

  /**
   * @returns undefined where there is no such file
   * @throws StoreError `invalid-input` when it is not that of this verification
   */
  async read(): Promise<VerifyState | undefined> {
    const file = await stat(this.#path).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
      throw error
    })
    if (file === undefined) return undefined
    // A device or a pipe may have no end.
    const text = file.isFile() && file.size <= MAX_LENGTH ? await readFile(this.#path, 'utf8') : ''
    // Most who load this module read no such file.
    const { verifyStateSchema } = await import('./verify-state-schema.js')
    const parsed = verifyStateSchema.safeParse(jsonOf(text))
    if (!parsed.success) {
      throw new StoreError('invalid-input', `${this.#path} is not the state of a verification`)
    }
    const { about, after, counts } = parsed.data
    if (about === this.#about) return { after: Buffer.from(after, 'hex'), counts }
    throw new StoreError(
      'invalid-input',
      `${this.#path} is the state of another verification: of ${about}, not of ${this.#about}`,
    )
  }

  /** Writes it, unless that was done a moment ago. */
  async write({ after, counts }: VerifyState): Promise<void> {
    if (performance.now() - this.#written < EVERY) return
    const state = { version: 1, about: this.#about, after: Buffer.from(after).toString('hex'), counts }
    const temporary = `${this.#path}.${randomBytes(4).toString('hex')}`
    try {
      const file = await open(temporary, 'wx', 0o644)
      try {
        await file.writeFile(`${JSON.stringify(state)}\n`)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(temporary, this.#path)
    } finally {
      await rm(temporary, { force: true })
    }
    this.#written = performance.now()
  }

  /** To be called when all was checked: the next verification begins anew. */
  async remove(): Promise<void> {
    await rm(this.#path, { force: true })
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
