/** Longer headers are not read. */
const MAX_LENGTH = 1024

/**
 * Whether a client takes zstd as an encoding of the way (RFC 9110 section 12.5.3). It has to say so by name.
 *
 * @param header `Accept-Encoding`, or undefined
 */
export function acceptsZstd(header: string | undefined): boolean {
  if (header === undefined || header.length > MAX_LENGTH) return false
  return header.split(',').some((part) => {
    const [coding = '', ...parameters] = part.split(';')
    if (coding.trim().toLowerCase() !== 'zstd') return false
    return !parameters.some((one) => /^\s*q\s*=\s*0(?:\.0*)?\s*$/i.test(one))
  })
}
