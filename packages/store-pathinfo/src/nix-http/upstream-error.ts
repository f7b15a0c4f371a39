import { StoreError } from '../errors.js'

/**
 * What is wrong with an answer of a binary cache:
 * - `status`: an HTTP status that means neither yes nor no
 * - `redirect`: redirected without end, or to nowhere
 * - `narinfo`: the narinfo cannot be understood; the cause is a NarInfoError
 * - `other-path`: the narinfo is that of another store path
 * - `compression`: the NAR is compressed in a way that nobody here knows
 * - `file`: the compressed NAR has another length or hash than the narinfo says
 * - `nar`: the NAR cannot be understood, or is another one than the narinfo says; the cause is a NarError, an
 *   ArchiveError or a NarMismatchError
 * - `missing`: there is a narinfo, but no NAR
 */
export type UpstreamProblem =
  | 'status'
  | 'redirect'
  | 'narinfo'
  | 'other-path'
  | 'compression'
  | 'file'
  | 'nar'
  | 'missing'

/** A binary cache gave an answer that cannot be used. Asking again would not help. */
export class UpstreamError extends StoreError {
  constructor(
    /** What was asked for. */
    readonly url: string,
    readonly problem: UpstreamProblem,
    detail: string,
    cause?: unknown,
  ) {
    super('upstream', `${url}: ${detail}`, problem, { cause })
  }
}
