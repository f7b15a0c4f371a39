import { z } from 'zod'

const UNITS: Readonly<Record<string, number>> = {
  ...{ ms: 1, s: 1000, m: 60_000, h: 3_600_000 },
  ...{ d: 86_400_000, w: 604_800_000 },
}
const TEXT = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d|w)?$/
const EXPECTED = "expected a duration: seconds as a number, or text such as '10', '500ms', '2m'"

/** Schema of a duration: seconds as a number, or text with a unit (`ms`, `s`, `m`, `h`, `d`, `w`; none: seconds). Gives milliseconds. */
export const duration = (): z.ZodType<number> =>
  z
    .union([z.number().min(0).max(999_999_999), z.string().regex(TEXT)], { error: EXPECTED })
    .transform((value) => (typeof value === 'number' ? Math.round(value * 1000) : milliseconds(value)))

function milliseconds(text: string): number {
  const [, amount, unit = 's'] = TEXT.exec(text)!
  return Math.round(Number(amount) * UNITS[unit]!)
}
