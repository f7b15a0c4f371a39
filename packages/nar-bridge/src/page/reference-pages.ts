import { encodeNixbase32 } from '@neve/nix-compat'
import { StoreError } from '@neve/store-pathinfo'
import type { BridgeStore } from '../bridge-options.js'
import type { Reply } from '../exchange.js'
import { type Closure, closureOf } from './closure.js'
import { jsonReply, pageReply } from './document.js'
import { counted, formatBytes, formatCount } from './figures.js'
import { type Html, html } from './html.js'
import { pager } from './listing.js'
import type { Located } from './locate.js'
import { digestOf, type PageRequest, pageNumber } from './page-request.js'
import { pathJson, pathTable } from './path-list.js'
import { placeHead, titleOf, urlOf } from './place.js'
import { scanPathInfos } from './scan-path-infos.js'

/** Store paths on a page. */
const PAGE = 200

/** What a store path needs, with sizes. */
export async function closurePage(store: BridgeStore, found: Located, page: PageRequest): Promise<Reply> {
  const closure = await closureOf(store, found.info, page.request.signal)
  const { paths, size, missing, cut } = closure
  const pages = Math.ceil(paths.length / PAGE)
  const number = Math.min(pageNumber(page.query), pages)
  const shown = paths.slice((number - 1) * PAGE, number * PAGE)
  if (page.json) {
    const facts = { closureSize: size, total: paths.length, complete: !cut && missing.length === 0 }
    const gone = missing.slice(0, PAGE).map((path) => path.toAbsolute())
    return jsonReply(page, { ...facts, missing: gone, page: number, pages, paths: shown.map(pathJson) })
  }
  const here = urlOf(found, page)
  return pageReply(page, {
    title: `Closure of ${titleOf(found)}`,
    main: html`${placeHead(found, page, 'closure')}
<p>Everything that it needs, itself among it: <b>${counted(paths.length, 'store path')}</b>, <b>${formatBytes(size)}</b> as NARs.</p>
${notes(closure)}
<div class="card">${pathTable(shown, page.base)}</div>
${pager(number, pages, (other) => `${here}?show=closure&page=${other}`)}`,
  })
}

function notes({ missing, cut, paths }: Closure): Html {
  const names = missing.slice(0, 5).map((path) => path.name)
  const more = missing.length > names.length ? ` and ${formatCount(missing.length - names.length)} more` : ''
  return html`${missing.length > 0 && html`<p class="note">${counted(missing.length, 'store path is', 'store paths are')} not in this store: ${names.join(', ')}${more}.</p>`}
${cut && html`<p class="note">There is more than was followed; these are ${formatCount(paths.length)} of it.</p>`}`
}

/** Who needs a store path: that is only found by asking each, so the search goes a stretch at a time. */
export async function referrersPage(store: BridgeStore, found: Located, page: PageRequest): Promise<Reply> {
  const { signal } = page.request
  const self = found.info.storePath
  const after = digestOf(page.query.get('after'))
  const scanned = await scanPathInfos(
    store.pathInfos,
    ({ storePath, references }) => !storePath.equals(self) && references.some((path) => path.equals(self)),
    { limit: PAGE, after, signal },
  ).catch((error: unknown) => {
    if (error instanceof StoreError && error.code === 'unsupported') return undefined
    throw error
  })
  const next = scanned?.next && encodeNixbase32(scanned.next)
  if (page.json) return jsonReply(page, { paths: scanned?.found.map(pathJson), next })
  const list = scanned?.found ?? []
  const nothing =
    scanned === undefined
      ? 'The store behind this cache does not list what it has.'
      : next === undefined
        ? `Nothing ${after === undefined ? '' : 'more '}here references it.`
        : 'None among those that were looked at so far.'
  return pageReply(page, {
    title: `Referrers of ${titleOf(found)}`,
    main: html`${placeHead(found, page, 'referrers')}
<p>Store paths here that reference it themselves.</p>
<div class="card">${list.length === 0 ? html`<div class="empty">${nothing}</div>` : pathTable(list, page.base)}</div>
<nav class="bar" aria-label="Pages">${next && html`<a class="button" rel="next" href="${urlOf(found, page)}?show=referrers&amp;after=${next}">Search on</a>`}</nav>`,
  })
}
