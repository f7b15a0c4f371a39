const UTF8 = '; charset=utf-8'

/** What browsers show, and what people download, by the end of its name (RFC 6838 and the registry behind it). */
const TYPES: Readonly<Record<string, string>> = {
  ...named('text/html', 'html htm'),
  ...named('application/xhtml+xml', 'xhtml'),
  ...named('text/css', 'css'),
  ...named('text/javascript', 'js mjs cjs'),
  ...named('text/csv', 'csv'),
  ...named('text/markdown', 'md markdown'),
  ...named('text/xml', 'xml xsl xslt dtd'),
  ...named('application/rss+xml', 'rss'),
  ...named('application/atom+xml', 'atom'),
  ...named('application/json', 'json map'),
  ...named('application/ld+json', 'jsonld'),
  ...named('application/manifest+json', 'webmanifest'),
  ...named('application/wasm', 'wasm'),
  ...named('application/pdf', 'pdf'),
  ...named('application/postscript', 'ps eps'),
  ...named('application/epub+zip', 'epub'),
  ...named('image/svg+xml', 'svg'),
  ...named('image/png', 'png'),
  ...named('image/apng', 'apng'),
  ...named('image/jpeg', 'jpg jpeg'),
  ...named('image/gif', 'gif'),
  ...named('image/webp', 'webp'),
  ...named('image/avif', 'avif'),
  ...named('image/bmp', 'bmp'),
  ...named('image/x-icon', 'ico'),
  ...named('image/tiff', 'tif tiff'),
  ...named('font/woff', 'woff'),
  ...named('font/woff2', 'woff2'),
  ...named('font/ttf', 'ttf'),
  ...named('font/otf', 'otf'),
  ...named('audio/mpeg', 'mp3'),
  ...named('audio/ogg', 'ogg oga opus'),
  ...named('audio/wav', 'wav'),
  ...named('audio/flac', 'flac'),
  ...named('audio/mp4', 'm4a'),
  ...named('video/mp4', 'mp4 m4v'),
  ...named('video/webm', 'webm'),
  ...named('video/ogg', 'ogv'),
  ...named('application/zip', 'zip whl jar'),
  ...named('application/x-tar', 'tar'),
  ...named('application/gzip', 'gz tgz'),
  ...named('application/zstd', 'zst'),
  ...named('application/x-xz', 'xz txz'),
  ...named('application/x-bzip2', 'bz2'),
  ...named('application/x-7z-compressed', '7z'),
  ...named('application/x-nix-archive', 'nar'),
  ...named(
    'text/plain',
    'txt text log conf cfg ini toml yaml yml nix drv patch diff c h cc cpp hh hpp rs go py pl rb sh bash zsh fish lua el ts tsx jsx java tex bib po pot m4 ac am cmake in la pc service socket timer desktop rst org adoc',
  ),
}

function named(type: string, suffixes: string): Record<string, string> {
  return Object.fromEntries(suffixes.split(' ').map((suffix) => [suffix, type]))
}

/**
 * The media type of a file by its name, with `charset` for text.
 *
 * @param name as bytes; only what comes after its last dot counts
 * @returns undefined for names that say nothing
 */
export function typeByName(name: Uint8Array): string | undefined {
  const suffix = /\.([A-Za-z0-9]{1,12})$/.exec(Buffer.from(name).toString('latin1'))?.[1]?.toLowerCase()
  const type = suffix === undefined || !Object.hasOwn(TYPES, suffix) ? undefined : TYPES[suffix]
  return type !== undefined && /^text\/|[+/](?:xml|json)$|javascript$/.test(type) ? `${type}${UTF8}` : type
}

/** The media type of a file by its first bytes, where its name says nothing: text that is UTF-8, or just bytes. */
export function typeByContent(start: Uint8Array): string {
  return isText(start) ? `text/plain${UTF8}` : 'application/octet-stream'
}

/** Whether bytes, which may break off within a character, are UTF-8 without what no text has. */
export function isText(start: Uint8Array): boolean {
  for (const byte of start) {
    if (byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0c && byte !== 0x0d && byte !== 0x1b)
      return false
  }
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(start, { stream: true })
    return true
  } catch {
    return false
  }
}
