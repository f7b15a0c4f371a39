import { NixHash, type StorePath } from '@neve/nix-compat'
import type { PathInfo } from '@neve/store-pathinfo'
import { encodeName } from '../url-names.js'
import { formatBytes, formatCount } from './figures.js'
import { type Html, html } from './html.js'
import { nodeJson } from './listing.js'

/** So many references are shown at once; the rest on request. */
const SHOWN = 12

/** What is known of a store path, as a list of terms. */
export function pathFacts(info: PathInfo, base: string): Html {
  const { storePath, node, narSize, narSha256, references, signatures, deriver, ca } = info
  const digest = node.kind === 'symlink' ? undefined : node.digest.toSri()
  const drv = deriver && `${deriver}.drv`
  return html`<div class="card padded"><dl class="facts">
${fact('Store path', html`<code class="whole">${storePath.toAbsolute()}</code>`)}
${fact('NAR size', html`${formatBytes(narSize)} <span class="quiet">(${formatCount(narSize)} bytes)</span>`)}
${fact('NAR hash', html`<code class="whole">${new NixHash('sha256', narSha256).toSri()}</code>`)}
${digest && fact(node.kind === 'directory' ? 'Root directory' : 'Contents', html`<code class="whole">${digest}</code>`)}
${ca && fact('Content address', html`<code class="whole">${ca.toString()}</code>`)}
${drv && fact('Deriver', html`<code class="whole">/nix/store/${drv}</code>`)}
${fact('Signatures', signatures.length === 0 ? html`<span class="quiet">none</span>` : html`<ul>${signatures.map((one) => html`<li><code>${one.toString()}</code></li>`)}</ul>`)}
${fact('References', referenceList(references, base))}
</dl></div>`
}

function fact(term: string, value: Html): Html {
  return html`<dt>${term}</dt><dd>${value}</dd>`
}

function referenceList(references: readonly StorePath[], base: string): Html {
  if (references.length === 0) return html`<span class="quiet">none</span>`
  const items = references.map(
    (path) => html`<li><a href="${base}nix/store/${encodeName(path.toString())}">${path.name}</a></li>`,
  )
  if (items.length <= SHOWN) return html`<ul>${items}</ul>`
  return html`<ul>${items.slice(0, SHOWN)}</ul><details><summary>${formatCount(items.length - SHOWN)} more</summary><ul>${items.slice(SHOWN)}</ul></details>`
}

/** The same for programs, in the words of `nix path-info --json` where it has some. */
export function pathFactsJson(info: PathInfo): Record<string, unknown> {
  const { storePath, node, narSize, narSha256, references, signatures, deriver, ca } = info
  return {
    path: storePath.toAbsolute(),
    narSize,
    narHash: new NixHash('sha256', narSha256).toSri(),
    references: references.map((path) => path.toAbsolute()),
    signatures: signatures.map(String),
    deriver: deriver && `${deriver.toAbsolute()}.drv`,
    ca: ca?.toString(),
    root: nodeJson(node),
  }
}
