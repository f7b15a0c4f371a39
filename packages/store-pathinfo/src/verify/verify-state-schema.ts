import { z } from 'zod'

const DIGEST = /^[0-9a-f]{40}$/

/** The JSON in a file of a verification's state. */
export const verifyStateSchema = z.strictObject({
  version: z.literal(1),
  /** What is verified: the state of one verification must not be taken for that of another. */
  about: z.string(),
  /** The digest of the last store path that was checked, in hex. */
  after: z.string().regex(DIGEST),
  counts: z.record(z.string(), z.int().nonnegative()),
})
