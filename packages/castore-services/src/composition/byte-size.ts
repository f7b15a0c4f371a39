import { z } from 'zod'

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 }
const TEXT = /^(\d{1,15})([KMGT]?)$/
const EXPECTED = "expected a size: bytes as a number, or text such as '500M', '100G'"

/** Schema of a size: bytes as a number, or text with a unit (`K`, `M`, `G`, `T`: powers of 1024). Gives bytes. */
export const byteSize = (): z.ZodType<number> =>
  z
    .union([z.int().min(0), z.string().regex(TEXT, { error: EXPECTED })], { error: EXPECTED })
    .transform((value) => (typeof value === 'number' ? value : bytes(value)))
    .refine(Number.isSafeInteger, { error: EXPECTED })

function bytes(text: string): number {
  const [, amount, unit = ''] = TEXT.exec(text)!
  return Number(amount) * UNITS[unit]!
}
