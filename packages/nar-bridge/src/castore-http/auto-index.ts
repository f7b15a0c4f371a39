import { createHash } from 'node:crypto'
import type { Directory, PathComponent } from '@neve/castore-model'
import type { Reply } from '../exchange.js'
import { html, raw } from '../page/html.js'
import { showBytes } from '../page/show-bytes.js'
import { encodeName, encodeNames } from '../url-names.js'

const STYLE =
  ':root{color-scheme:light dark}body{font:1rem/1.6 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;overflow-wrap:anywhere}ul{padding:0;list-style:none}'
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')
const POLICY = `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'`
/** Entries that are written at once. */
const BATCH = 1000

/**
 * The list of a directory as a page: names in order, each with a link. It is made while it is sent, however many there
 * are.
 *
 * @param names that lead to the directory
 */
export function autoIndex(directory: Directory, names: readonly PathComponent[]): Reply {
  const headers = {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': POLICY,
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-cache',
  }
  return { status: 200, headers, body: { source: pieces(directory, names), length: undefined } }
}

async function* pieces(
  { entries }: Directory,
  names: readonly PathComponent[],
): AsyncGenerator<Uint8Array, void, undefined> {
  const folder = names.length === 0 ? '/' : `/${encodeNames(names)}/`
  const title = html`Index of /${names.map((name) => html`${showBytes(name.bytes)}/`)}`
  yield Buffer.from(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Index</title>
${raw`<style>${STYLE}</style>`}</head><body><h1>${title}</h1>
<ul>
`)
  for (let at = 0; at < entries.length; at += BATCH) {
    const items = entries.slice(at, at + BATCH).map(
      ({ name }) => html`<li><a href="${folder}${encodeName(name.bytes)}">${showBytes(name.bytes)}</a></li>
`,
    )
    yield Buffer.from(html`${items}`.text)
  }
  yield Buffer.from('</ul></body></html>\n')
}
