/**
 * A `Content-Disposition` that has a browser save the body under a name (RFC 6266), whatever bytes are in the name:
 * those that a header, a shell or a file manager could take for something else are replaced.
 */
export function attachment(name: Uint8Array, suffix = ''): string {
  const text = `${Buffer.from(name).toString()}${suffix}`.replace(
    /[\p{C}\p{Zl}\p{Zp}/\\:*?"<>|\ufffd]/gu,
    '_',
  )
  const plain = text.replace(/[^\x20-\x7e]|%/g, '_')
  const exact = plain === text ? '' : `; filename*=UTF-8''${encodeURIComponent(text).replace(/['()*]/g, hex)}`
  return `attachment; filename="${plain}"${exact}`
}

function hex(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`
}
