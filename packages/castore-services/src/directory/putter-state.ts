import { CastoreError } from '../errors.js'

/** What has become of an upload of directories. */
export type PutterState =
  | { readonly is: 'open' }
  | { readonly is: 'closed' }
  | { readonly is: 'failed'; readonly error: unknown }
  | { readonly is: 'cancelled'; readonly reason: unknown }
  | { readonly is: 'aborted'; readonly reason: unknown }

/**
 * Makes sure that an upload may go on.
 *
 * @param call for the message: `put`, `close`
 * @throws what ended it: the error of a put that failed, the reason of a signal, or CastoreError `aborted` or `closed`
 */
export function expectOpen(state: PutterState, call: string): void {
  switch (state.is) {
    case 'open':
      return
    case 'failed':
      throw state.error
    case 'cancelled':
      throw state.reason
    case 'aborted':
      throw new CastoreError('aborted', `cannot ${call}: the directory upload was aborted`, {
        cause: state.reason,
      })
    case 'closed':
      throw new CastoreError('closed', `cannot ${call}: the directory upload is already closed`)
  }
}
