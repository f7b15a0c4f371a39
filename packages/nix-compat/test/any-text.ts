import fc from 'fast-check'

/** Texts with control characters and characters beyond ASCII, some of them beyond Latin-1, and lone surrogates. */
export function anyText(maxLength: number): fc.Arbitrary<string> {
  const unit = fc.oneof({ weight: 9, arbitrary: fc.nat(0x17f) }, { weight: 1, arbitrary: fc.nat(0xffff) })
  return fc.array(unit, { maxLength }).map((units) => String.fromCharCode(...units))
}
