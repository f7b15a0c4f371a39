import { createHash } from 'node:crypto'
import { isKnown } from '../conditions.js'
import { type Reply, textReply } from '../exchange.js'
import { type Html, html, raw } from './html.js'
import { FAVICON, ICONS, MARK } from './icons.js'
import type { PageRequest } from './page-request.js'
import { STYLE } from './style.js'

const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')

/** Nothing runs and nothing is fetched from elsewhere; images are previews of what the store has. */
const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${STYLE_HASH}'`,
  "img-src 'self' data:",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** What a page shows. */
export interface PageContent {
  /** Of the window. */
  readonly title: string
  readonly main: Html
  /** In the search field. */
  readonly search?: string
  /** Default: 200. */
  readonly status?: number
}

/** A page, or 304 where the client has it already. */
export function pageReply(page: PageRequest, { title, main, search = '', status = 200 }: PageContent): Reply {
  const { base } = page
  const { text } = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${title}</title>
<link rel="icon" href="data:image/svg+xml;base64,${FAVICON}">
${raw`<style>${STYLE}</style>`}
</head>
<body>
${ICONS}
<header class="top"><div class="wide">
<a class="brand" href="${base}">${MARK}<span>Neve</span></a>
<form class="search" action="${base}" role="search">
<input type="search" name="q" value="${search}" placeholder="Name, hash or store path" aria-label="Search store paths" autocapitalize="off" autocomplete="off" spellcheck="false">
<button>Search</button>
</form>
</div></header>
<main class="wide">
${main}
</main>
<footer class="wide">Served by Neve, a content-addressed store for Nix. <a href="${base}nix-cache-info">nix-cache-info</a></footer>
</body>
</html>
`
  return tagged(page, text, {
    status,
    type: 'text/html; charset=utf-8',
    headers: { 'content-security-policy': POLICY, 'referrer-policy': 'same-origin' },
  })
}

/** An answer for programs. */
export function jsonReply(page: PageRequest, value: unknown, status = 200): Reply {
  const text = JSON.stringify(value, (_, member) => (typeof member === 'bigint' ? number(member) : member))
  return tagged(page, `${text}\n`, { status, type: 'application/json', headers: {} })
}

/** Sends the client to another page. */
export function redirect(page: PageRequest, location: string): Reply {
  const target = `${page.base}${location}`
  return textReply(`see ${target}\n`, {
    status: 307,
    headers: { location: target, 'cache-control': 'no-cache' },
  })
}

function tagged(
  { request }: PageRequest,
  text: string,
  { status, type, headers }: { status: number; type: string; headers: Readonly<Record<string, string>> },
): Reply {
  const etag = `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`
  const all = {
    etag,
    vary: 'Accept',
    'cache-control': 'no-cache',
    'x-content-type-options': 'nosniff',
    ...headers,
  }
  if (status === 200 && isKnown(request, etag)) return { status: 304, headers: all }
  return textReply(text, { status, type, headers: all })
}

// JSON has no limit for numbers, JavaScript has: what it cannot hold is given as text.
function number(value: bigint): number | string {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : String(value)
}
