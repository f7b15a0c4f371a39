import type { FileNode } from '@neve/castore-model'
import type { BridgeStore } from '../bridge-options.js'
import type { Reply } from '../exchange.js'
import { openWhole } from '../file-reply.js'
import { isText, typeByContent, typeByName } from '../media-types.js'
import { jsonReply, pageReply } from './document.js'
import { formatBytes, formatCount } from './figures.js'
import { type Html, html } from './html.js'
import { nodeJson } from './listing.js'
import type { Located } from './locate.js'
import type { PageRequest } from './page-request.js'
import { pathFacts, pathFactsJson } from './path-facts.js'
import { downloads, placeHead, titleOf, urlOf } from './place.js'
import { showText } from './show-bytes.js'

/** How much of a text is shown, in bytes. */
const PREVIEW = 128 * 1024
/** And of other bytes. */
const DUMP = 512
const IMAGES = /^image\/(?:png|apng|jpeg|gif|webp|avif|bmp|x-icon|svg\+xml)$/

/** A file: what it is, and how it begins. */
export async function filePage(
  store: BridgeStore,
  found: Located,
  node: FileNode,
  page: PageRequest,
): Promise<Reply> {
  const { names, info } = found
  const isRoot = names.length === 1
  if (page.json) return jsonReply(page, isRoot ? pathFactsJson(info) : nodeJson(node))
  const { signal } = page.request
  await using reader = await openWhole(store.blobs, node, signal)
  const start = await reader.readAt(0n, PREVIEW, { signal })
  const type = typeByName(names.at(-1)!.bytes) ?? typeByContent(start.subarray(0, 4096))
  const here = urlOf(found, page)
  const raw = `${here}?raw`
  return pageReply(page, {
    title: titleOf(found),
    main: html`${placeHead(found, page, 'contents')}
${isRoot ? pathFacts(info, page.base) : facts(node, type)}
<div class="bar"><span class="grow"></span><a class="button" href="${raw}">View raw</a><a class="button" href="${here}?download=raw" download>Save file</a>${downloads(found, page)}</div>
<div class="card">${preview(start, node, type, raw)}</div>`,
  })
}

function facts({ size, executable, digest }: FileNode, type: string): Html {
  return html`<div class="card padded"><dl class="facts">
<dt>Size</dt><dd>${formatBytes(size)} <span class="quiet">(${formatCount(size)} bytes)</span></dd>
<dt>Type</dt><dd>${executable && 'executable, '}${type}</dd>
<dt>Digest</dt><dd><code class="whole">${digest.toSri()}</code></dd>
</dl></div>`
}

function preview(start: Uint8Array, { size }: FileNode, type: string, raw: string): Html {
  if (size === 0n) return html`<div class="empty">The file is empty.</div>`
  if (IMAGES.test(type))
    return html`<div class="preview image"><img src="${raw}" alt="The image in this file"></div>`
  const text = isText(start)
  const shown = text ? start : start.subarray(0, DUMP)
  const more =
    BigInt(shown.length) < size &&
    html`<p class="note">The first ${formatBytes(BigInt(shown.length))} of ${formatBytes(size)}.</p>`
  const content = text ? showText(new TextDecoder().decode(shown, { stream: true })) : dump(shown)
  return html`<pre class="preview" tabindex="0">${content}</pre>${more}`
}

/** Sixteen bytes a line, as `hexdump -C` has them. */
function dump(bytes: Uint8Array): string {
  const lines: string[] = []
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16)
    const hex = Array.from(row, (byte) => byte.toString(16).padStart(2, '0')).join(' ')
    const text = Array.from(row, (byte) =>
      byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.',
    ).join('')
    lines.push(`${at.toString(16).padStart(8, '0')}  ${hex.padEnd(47)}  ${text}`)
  }
  return lines.join('\n')
}
