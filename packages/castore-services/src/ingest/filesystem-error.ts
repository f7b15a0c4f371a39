/** Why a path could not be ingested (spec 06 section 3.4). */
export type IngestPathErrorCode =
  /** A FIFO, socket or device: it has no content to store. */
  | 'file-type'
  /** A file's metadata, a folder or a link target could not be read. */
  | 'stat'
  /** A file's content could not be read. */
  | 'blob-read'
  /** A file changed while it was read. */
  | 'file-changed'
  /** A name that the model cannot hold. */
  | 'name'

/** A path that could not be ingested. Nothing of the tree became visible, except blobs under their own digests. */
export class IngestPathError extends Error {
  override readonly name = 'IngestPathError'

  /** @param path the path that failed, as raw bytes */
  constructor(
    readonly code: IngestPathErrorCode,
    readonly path: Uint8Array,
    message: string,
    options?: { readonly cause?: unknown },
  ) {
    super(message, options)
  }
}

/** A host path for a person: invalid UTF-8 and control characters escaped. */
export function displayPath(path: Uint8Array): string {
  const text = new TextDecoder('utf-8', { fatal: false }).decode(path)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escaping them is the purpose
  return text.replace(/[\u0000-\u001f\u007f-\u009f\ufffd]/g, (c) => `\\u{${c.codePointAt(0)?.toString(16)}}`)
}
