import type { BridgeStore } from '../bridge-options.js'
import type { Reply } from '../exchange.js'
import { jsonReply, pageReply } from './document.js'
import { counted } from './figures.js'
import { type Html, html } from './html.js'
import { listingJson, listingPage, listingTable, nodeJson, pager } from './listing.js'
import { directoryOf, type Located, staysInside } from './locate.js'
import { type PageRequest, pageNumber, queryText } from './page-request.js'
import { pathFacts, pathFactsJson } from './path-facts.js'
import { downloads, placeHead, titleOf, urlOf } from './place.js'
import { showBytes } from './show-bytes.js'

/** Smaller directories are searched with the eyes. */
const FILTER_FROM = 50

/** A directory with what is in it; of a whole store path, also what is known of that. */
export async function directoryPage(store: BridgeStore, found: Located, page: PageRequest): Promise<Reply> {
  const { node, names, info } = found
  const isRoot = names.length === 1
  if (node.kind !== 'directory') return rootPage(found, page)
  const directory = await directoryOf(store, node, page.request.signal)
  const filter = queryText(page.query, 'filter')
  const shown = listingPage(directory, { filter, page: pageNumber(page.query) })
  if (page.json) {
    const facts = isRoot ? pathFactsJson(info) : nodeJson(node)
    return jsonReply(page, { ...facts, ...listingJson(shown) })
  }
  const here = urlOf(found, page)
  const q = filter === '' ? '' : `&filter=${encodeURIComponent(filter)}`
  const search =
    directory.entryCount >= FILTER_FROM &&
    html`<form class="bar" action="${here}/" role="search"><input type="search" name="filter" value="${filter}" placeholder="Filter names" aria-label="Filter names" autocomplete="off" spellcheck="false"><button>Filter</button></form>`
  return pageReply(page, {
    title: titleOf(found),
    main: html`${placeHead(found, page, 'contents')}
${isRoot && pathFacts(info, page.base)}
<div class="bar"><span class="quiet small">${counted(shown.total, 'entry', 'entries')}${filter !== '' && ` with “${filter}”`}</span><span class="grow"></span>${downloads(found, page)}</div>
${search}
<div class="card">${listingTable(shown, `${here}/`, names.length)}</div>
${pager(shown.page, shown.pages, (number) => `${here}/?page=${number}${q}`)}`,
  })
}

/** A store path that is a file or a link. */
function rootPage(found: Located, page: PageRequest): Reply {
  const { node, info } = found
  if (page.json) return jsonReply(page, pathFactsJson(info))
  return pageReply(page, {
    title: titleOf(found),
    main: html`${placeHead(found, page, 'contents')}
${pathFacts(info, page.base)}
<div class="bar">${node.kind === 'symlink' && linkText(found, page)}<span class="grow"></span>${downloads(found, page)}</div>`,
  })
}

function linkText(found: Located, page: PageRequest): Html | undefined {
  const { node } = found
  if (node.kind !== 'symlink') return undefined
  const { bytes } = node.target
  const target = html`<code>${showBytes(bytes)}</code>`
  const followed = staysInside(bytes, 0) ? html`<a href="${urlOf(found, page)}?follow">${target}</a>` : target
  return html`<span>A link to ${followed}</span>`
}
