/** Put in place by the build, so that no file has to be read for it. */
declare const NEVE_VERSION: string

/** The version of this package. */
export const version: string = NEVE_VERSION
