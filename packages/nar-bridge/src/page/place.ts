import { encodeNames } from '../url-names.js'
import { ARCHIVES } from './download.js'
import { type Html, html } from './html.js'
import type { Located } from './locate.js'
import type { PageRequest } from './page-request.js'
import { showBytes } from './show-bytes.js'

/** What can be seen of something in the store. */
export type View = 'contents' | 'closure' | 'referrers' | 'storage'

const LABELS: Readonly<Record<View, string>> = {
  contents: 'Contents',
  closure: 'Closure',
  referrers: 'Referrers',
  storage: 'Storage',
}

/** Where something is found, from a page. */
export function urlOf({ names }: Pick<Located, 'names'>, { base }: PageRequest): string {
  return `${base}nix/store/${encodeNames(names)}`
}

/** Its name, for a window. */
export function titleOf({ names }: Located): string {
  return `${names.map(String).join('/')} · Neve`
}

/** The head of a page about something in the store: where it is, its name, what can be seen of it. */
export function placeHead(found: Located, page: PageRequest, current: View): Html {
  const { names, info, node } = found
  const isRoot = names.length === 1
  const here = urlOf(found, page)
  const views: readonly View[] = isRoot
    ? ['contents', 'closure', 'referrers', 'storage']
    : ['contents', 'storage']
  const contents = node.kind === 'file' ? '?show=file' : isRoot ? '' : '/'
  return html`<nav class="crumbs" aria-label="Where this is"><a href="${page.base}">/nix/store</a>${crumbs(found, page)}</nav>
<h1>${isRoot ? info.storePath.name : showBytes(names.at(-1)!.bytes)}</h1>
<nav class="tabs" aria-label="Views">${views.map(
    (view) =>
      html`<a href="${here}${view === 'contents' ? contents : `?show=${view}`}"${view === current && html` aria-current="page"`}>${LABELS[view]}</a>`,
  )}</nav>`
}

function crumbs({ names }: Located, page: PageRequest): Html {
  const last = names.length - 1
  return html`${names.map((name, i) => {
    const label = showBytes(name.bytes)
    const place = { names: names.slice(0, i + 1) }
    const url = `${urlOf(place, page)}${i === 0 ? '' : '/'}`
    return html` / ${i === last ? html`<span>${label}</span>` : html`<a href="${url}">${label}</a>`}`
  })}`
}

/** Buttons that take it away whole. */
export function downloads(found: Located, page: PageRequest): Html {
  const here = urlOf(found, page)
  const forms = found.node.kind === 'directory' ? ARCHIVES : (['nar'] as const)
  return html`<span class="quiet small">Download</span>${forms.map(
    (form) =>
      html`<a class="button" href="${here}?download=${form}" download>${form === 'nar' ? 'NAR' : form}</a>`,
  )}`
}
