import { encodeNixbase32, STORE_DIR } from '@neve/nix-compat'
import { type PathInfo, StoreError } from '@neve/store-pathinfo'
import type { BridgeStore } from '../bridge-options.js'
import type { Reply } from '../exchange.js'
import { encodeName } from '../url-names.js'
import { jsonReply, pageReply, redirect } from './document.js'
import { exactPath } from './exact-path.js'
import { type Html, html } from './html.js'
import { digestOf, type PageRequest, queryText } from './page-request.js'
import { pathJson, pathTable } from './path-list.js'
import { type Scanned, scanPathInfos } from './scan-path-infos.js'

/** Store paths on a page. */
const PAGE = 100
const BASE32 = /^[0-9a-df-np-sv-z]+$/

/** What the first page says of the cache. */
export interface CacheFacts {
  readonly priority: number
  /** `name:base64` of the keys that it signs with. */
  readonly publicKeys: readonly string[]
  readonly readOnly: boolean
  /** Whether clients need a token. */
  readonly guarded: boolean
}

/** What the cache is, how to use it, and a page of its store paths. */
export async function homePage(store: BridgeStore, facts: CacheFacts, page: PageRequest): Promise<Reply> {
  const { query, json } = page
  const search = queryText(query, 'q')
  const exact = await exactPath(store, search, page.request.signal)
  if (exact !== undefined && !json)
    return redirect(page, `nix/store/${encodeName(exact.storePath.toString())}`)
  const after = digestOf(query.get('after'))
  const scanned = exact === undefined ? await scan(store, search, after, page) : only(exact)
  if (json) {
    const { priority, publicKeys } = facts
    const next = scanned?.next && encodeNixbase32(scanned.next)
    return jsonReply(page, {
      ...{ storeDir: STORE_DIR, priority, publicKeys },
      paths: scanned?.found.map(pathJson),
      next,
    })
  }
  const isFirst = search === '' && after === undefined
  return pageReply(page, {
    title: search === '' ? 'Neve: a Nix binary cache' : `${search} · Neve`,
    search,
    main: html`${isFirst && introduction(facts, page)}
<h2>${search === '' ? 'Store paths' : html`Store paths with “${search}”`}</h2>
${list(scanned, search, page, after !== undefined)}`,
  })
}

function list(scanned: Scanned | undefined, search: string, { base }: PageRequest, isLater: boolean): Html {
  if (scanned === undefined) {
    return html`<div class="card empty">The store behind this cache does not list what it has. Search for a whole store path.</div>`
  }
  const { found, next, stopped } = scanned
  const q = search === '' ? '' : `q=${encodeURIComponent(search)}&`
  const nothing =
    search !== '' || isLater
      ? 'Nothing found.'
      : 'The store is empty. Fill it with neve import or nix copy --to.'
  return html`<div class="card">${found.length === 0 ? html`<div class="empty">${nothing}</div>` : pathTable(found, base)}</div>
<nav class="bar" aria-label="Pages">
${isLater && html`<a class="button" href="${base}${search === '' ? '' : `?q=${encodeURIComponent(search)}`}">From the beginning</a>`}
${next && html`<a class="button" rel="next" href="${base}?${q}after=${encodeNixbase32(next)}">${stopped && search !== '' ? 'Search on' : 'Next'}</a>`}
</nav>`
}

function introduction(facts: CacheFacts, page: PageRequest): Html {
  const { priority, publicKeys, readOnly, guarded } = facts
  const url = addressOf(page)
  const conf = [
    `extra-substituters = ${url}`,
    ...(publicKeys.length === 0 ? [] : [`extra-trusted-public-keys = ${publicKeys.join(' ')}`]),
  ].join('\n')
  const netrc = guarded && `machine ${new URL(url).hostname} login nix password TOKEN`
  return html`<section class="intro">
<div><h1>A Nix binary cache</h1>
<p class="quiet">Priority ${priority}${publicKeys.length > 0 && ', signed'}${readOnly && ', read-only'}${guarded && ', with tokens'}. Archives are put together when they are asked for.</p></div>
<div class="card padded">
<p>Have Nix substitute from it, in <code>nix.conf</code>:</p>
<pre class="copy">${conf}</pre>
${publicKeys.length === 0 && html`<p class="small quiet">It signs nothing itself: Nix takes what others signed with keys that it trusts, and paths that are named by their contents.</p>`}
${netrc && html`<p>Reading needs a token, in Nix’ netrc file:</p><pre class="copy">${netrc}</pre>`}
<p>Copy from it${!readOnly && ', or to it'}:</p>
<pre class="copy">nix copy --from '${url}' ${STORE_DIR}/…${!readOnly && `\nnix copy --to '${url}' ./result`}</pre>
</div>
</section>`
}

/** Where the client found the cache, as far as it says so; nothing else may be taken from its headers. */
function addressOf({ request, base, path }: PageRequest): string {
  const isEncrypted = request.isEncrypted === true || request.header('x-forwarded-proto') === 'https'
  const scheme = isEncrypted ? 'https' : 'http'
  const host = request.header('host') ?? ''
  const isHost = /^(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/.test(host)
  const { origin, pathname } = new URL(
    `${base}`,
    `${scheme}://${isHost ? host : 'cache.example.org'}${request.prefix ?? ''}/${path}`,
  )
  return `${origin}${pathname === '/' ? '' : pathname.replace(/\/$/, '')}`
}

/** @returns undefined where the store does not list */
async function scan(
  { pathInfos }: BridgeStore,
  search: string,
  after: Uint8Array | undefined,
  { request: { signal } }: PageRequest,
): Promise<Scanned | undefined> {
  const wanted = search.toLowerCase()
  const matches = (info: PathInfo): boolean => info.storePath.toString().toLowerCase().includes(wanted)
  try {
    // Few names look like a piece of a hash; then there is no need to read what the store knows of each path.
    if (BASE32.test(search) && search.length >= 6 && search.length < 32 && after === undefined) {
      const found: PathInfo[] = []
      for await (const info of pathInfos.list({ prefix: search, limit: PAGE, signal })) found.push(info)
      if (found.length > 0) return { found, next: undefined, stopped: false }
    }
    return await scanPathInfos(pathInfos, search === '' ? undefined : matches, { limit: PAGE, after, signal })
  } catch (error) {
    if (error instanceof StoreError && error.code === 'unsupported') return undefined
    throw error
  }
}

function only(info: PathInfo): Scanned {
  return { found: [info], next: undefined, stopped: false }
}
