import { type ContentMeasure, chunksOf, measureContent, StoreError } from '@neve/store-pathinfo'
import type { BridgeStore } from '../bridge-options.js'
import type { Reply } from '../exchange.js'
import { jsonReply, pageReply } from './document.js'
import { counted, formatBytes, formatCount } from './figures.js'
import { type Html, html } from './html.js'
import type { Located } from './locate.js'
import type { PageRequest } from './page-request.js'
import { placeHead, titleOf } from './place.js'

/** Larger trees are left to `neve stat`, which nobody waits for in a browser. */
const MOST = 250_000
/** Chunks of a file that are listed. */
const CHUNKS = 200

/** What something is made of, and what it takes in the store. */
export async function storagePage(store: BridgeStore, found: Located, page: PageRequest): Promise<Reply> {
  const { node } = found
  const { signal } = page.request
  let measure: ContentMeasure
  try {
    measure = await measureContent(store, node, { signal, maxEntries: MOST })
  } catch (error) {
    if (!(error instanceof StoreError && error.code === 'too-large')) throw error
    const main = html`${placeHead(found, page, 'storage')}<div class="card empty">It has more than ${formatCount(MOST)} entries: ask neve stat.</div>`
    return pageReply(page, { title: titleOf(found), main })
  }
  const chunks = node.kind === 'file' ? await chunksOf(store, node) : []
  if (page.json) {
    const list = chunks.map(({ digest, size, storedBytes }) => ({
      digest: digest.toSri(),
      size,
      storedBytes,
    }))
    return jsonReply(page, { ...measure, ...(node.kind === 'file' ? { chunkList: list } : {}) })
  }
  const listed = chunks.slice(0, CHUNKS).map(
    ({ digest, size, storedBytes }) =>
      html`<tr><td><code>${digest.toSri()}</code></td><td class="number">${formatBytes(size)}</td><td class="number">${storedBytes === undefined ? '–' : formatBytes(BigInt(storedBytes))}</td></tr>
`,
  )
  const table = html`<h2>Chunks</h2><div class="card scroll"><table><thead><tr><th>Digest</th><th class="number">Size</th><th class="number">Stored</th></tr></thead><tbody>${listed}</tbody></table></div>
${chunks.length > CHUNKS && html`<p class="quiet small">The first ${formatCount(CHUNKS)} of ${formatCount(chunks.length)}.</p>`}`
  return pageReply(page, {
    title: `Storage of ${titleOf(found)}`,
    main: html`${placeHead(found, page, 'storage')}
${figures(measure)}
${chunks.length > 1 && table}`,
  })
}

function figures(measure: ContentMeasure): Html {
  const { files, directories, symlinks, bytes, blobs, chunks, distinctChunks } = measure
  const { sharedChunks, distinctBytes, storedBytes, missingChunks } = measure
  const stored =
    storedBytes !== undefined &&
    html`<dt>Stored</dt><dd>${formatBytes(storedBytes)}, compressed${bar(storedBytes, bytes)}</dd>`
  return html`${missingChunks > 0 && html`<p class="note">${counted(missingChunks, 'chunk is', 'chunks are')} missing: import the content again.</p>`}
<div class="card padded"><dl class="facts">
<dt>Holds</dt><dd>${counted(files, 'file')}, ${counted(directories, 'directory', 'directories')}, ${counted(symlinks, 'link')}</dd>
<dt>Size of all files</dt><dd>${formatBytes(bytes)} <span class="quiet">(${formatCount(bytes)} bytes)</span>${bar(bytes, bytes)}</dd>
<dt>Without repetitions</dt><dd>${formatBytes(distinctBytes)}${bar(distinctBytes, bytes)}</dd>
${stored}
<dt>Different files</dt><dd>${formatCount(blobs)}</dd>
<dt>Chunks</dt><dd>${formatCount(chunks)}, ${formatCount(distinctChunks)} different, ${formatCount(sharedChunks)} of them more than once</dd>
</dl></div>
<p class="quiet small">Content is stored in chunks, each once, however often it appears here or anywhere else in the store.</p>`
}

/** A part of a whole, drawn. */
function bar(part: bigint, whole: bigint): Html {
  const percent = whole === 0n ? 0 : Number((part * 1000n) / whole) / 10
  return html`<div class="meter"><svg viewBox="0 0 100 1" preserveAspectRatio="none" role="img" aria-label="${percent} %"><rect width="${Math.min(percent, 100)}" height="1"/></svg></div>`
}
