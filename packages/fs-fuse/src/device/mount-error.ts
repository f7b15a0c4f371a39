/** A filesystem could not be mounted or unmounted. */
export class MountError extends Error {
  override readonly name = 'MountError'
  readonly code = 'mount'

  /** @param detail what is wrong, in lower case */
  constructor(
    readonly mountpoint: string,
    detail: string,
    options?: { readonly cause?: unknown },
  ) {
    super(`${mountpoint}: ${detail}`, options)
  }
}
