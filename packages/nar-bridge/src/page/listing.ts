import type { Directory, DirectoryEntry, Node } from '@neve/castore-model'
import { encodeName } from '../url-names.js'
import { counted, formatBytes, formatCount } from './figures.js'
import { type Html, html } from './html.js'
import { icon } from './icons.js'
import { staysInside } from './locate.js'
import { jsonBytes, showBytes } from './show-bytes.js'

/** Entries on a page. */
const PAGE = 500

/** What of a directory is wanted. */
export interface ListingRequest {
  /** Only names that contain this. */
  readonly filter: string
  /** From 1 on. */
  readonly page: number
}

/** A page of a directory's entries. */
export interface ListingPage {
  readonly entries: readonly DirectoryEntry[]
  /** How many there are, on all pages. */
  readonly total: number
  readonly page: number
  readonly pages: number
}

/** Picks a page of a directory. */
export function listingPage(directory: Directory, { filter, page }: ListingRequest): ListingPage {
  const wanted = lower(Buffer.from(filter))
  const all =
    filter === ''
      ? directory.entries
      : directory.entries.filter(({ name }) => lower(name.bytes).includes(wanted))
  const pages = Math.max(1, Math.ceil(all.length / PAGE))
  const actual = Math.min(page, pages)
  return { entries: all.slice((actual - 1) * PAGE, actual * PAGE), total: all.length, page: actual, pages }
}

/**
 * A directory as a table.
 *
 * @param here where its entries are found, from the page: `./` or `../../nix/store/…/`, ending in a slash
 * @param depth as {@link staysInside} has it
 */
export function listingTable({ entries }: ListingPage, here: string, depth: number): Html {
  if (entries.length === 0) return html`<div class="empty">Nothing here.</div>`
  return html`<table class="listing"><thead><tr><th>Name</th><th class="number">Size</th></tr></thead><tbody>
${entries.map((entry) => row(entry, here, depth))}</tbody></table>`
}

function row({ name, node }: DirectoryEntry, here: string, depth: number): Html {
  const url = `${here}${encodeName(name.bytes)}`
  const label = html`<span class="name">${showBytes(name.bytes)}</span>`
  if (node.kind === 'symlink') {
    const shown = staysInside(node.target.bytes, depth)
      ? html`<a href="${url}?show=file">${label}</a>`
      : label
    const target = html`<span class="target"> → ${showBytes(node.target.bytes)}</span>`
    return html`<tr><td>${icon('symlink')}${shown}${target}</td><td class="number">link</td></tr>
`
  }
  const kind = kindOf(node)
  const href = node.kind === 'directory' ? `${url}/` : `${url}?show=file`
  const size = node.kind === 'directory' ? counted(node.size, 'entry', 'entries') : formatBytes(node.size)
  return html`<tr><td>${icon(kind)}<a href="${href}">${label}</a></td><td class="number">${size}</td></tr>
`
}

function kindOf(node: Exclude<Node, { kind: 'symlink' }>): 'directory' | 'file' | 'executable' {
  return node.kind === 'file' && node.executable ? 'executable' : node.kind
}

/** A node as JSON, in the words of the castore. */
export function nodeJson(node: Node): Record<string, unknown> {
  if (node.kind === 'symlink') return { type: 'symlink', ...jsonBytes('target', node.target.bytes) }
  const { kind: type, size, digest } = node
  const executable = node.kind === 'file' ? { executable: node.executable } : {}
  return { type, digest: digest.toSri(), size, ...executable }
}

/** A page of a directory as JSON. */
export function listingJson({ entries, total, page, pages }: ListingPage): Record<string, unknown> {
  const list = entries.map(({ name, node }) => ({ ...jsonBytes('name', name.bytes), ...nodeJson(node) }))
  return { total, page, pages, entries: list }
}

/** Links to the other pages of something; nothing where there is one page. */
export function pager(page: number, pages: number, link: (page: number) => string): Html | undefined {
  if (pages === 1) return undefined
  return html`<nav class="bar" aria-label="Pages">
${page > 1 && html`<a class="button" rel="prev" href="${link(page - 1)}">Previous</a>`}
<span class="quiet small">Page ${formatCount(page)} of ${formatCount(pages)}</span>
${page < pages && html`<a class="button" rel="next" href="${link(page + 1)}">Next</a>`}
</nav>`
}

/** ASCII letters made small; other bytes stay as they are. */
function lower(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.map((byte) => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte)))
}
