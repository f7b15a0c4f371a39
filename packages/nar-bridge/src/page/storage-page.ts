import type { Node } from '@neve/castore-model'
import {
  type ContentMeasure,
  type ContentSharedWithOthers,
  chunksOf,
  measureContent,
  type PathInfo,
  type SharedContent,
  StoreError,
  sharedContent,
  sharedWithOthers,
} from '@neve/store-pathinfo'
import type { BridgeStore } from '../bridge-options.js'
import type { Reply } from '../exchange.js'
import { jsonReply, pageReply } from './document.js'
import { exactPath } from './exact-path.js'
import { counted, formatBytes, formatCount } from './figures.js'
import { type Html, html } from './html.js'
import type { Located } from './locate.js'
import { type PageRequest, queryText } from './page-request.js'
import { placeHead, titleOf, urlOf } from './place.js'

/** Larger trees are left to `neve stat`, which nobody waits for in a browser. */
const MOST = 250_000
/** What is asked for to compare with everything else in the store. */
const ALL = '*'
/** Chunks of a file that are listed. */
const CHUNKS = 200

/** What something is made of, and what it takes in the store. */
export async function storagePage(store: BridgeStore, found: Located, page: PageRequest): Promise<Reply> {
  const { node } = found
  const { signal } = page.request
  const text = queryText(page.query, 'with')
  const other = text === '' || text === ALL ? undefined : await exactPath(store, text, signal)
  let measure: ContentMeasure
  let shared: SharedContent | undefined
  let everywhere: ContentSharedWithOthers | undefined
  try {
    if (other !== undefined) {
      shared = await sharedContent(store, node, other.node, { signal, maxEntries: MOST })
    }
    if (text === ALL) {
      const others = otherNodes(store, found, signal)
      everywhere = await sharedWithOthers(store, node, others, { signal, maxEntries: MOST })
    }
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
    const comparison =
      everywhere === undefined
        ? other && { with: other.storePath.toAbsolute(), ...shared }
        : { with: ALL, ...everywhere }
    return jsonReply(page, { ...measure, comparison, ...(node.kind === 'file' ? { chunkList: list } : {}) })
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
${comparisonOf(shared, other, text, urlOf(found, page))}
${everywhere !== undefined && everywhereOf(everywhere)}
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

/** A form to compare with another store path, and what came of it. */
function comparisonOf(
  shared: SharedContent | undefined,
  other: PathInfo | undefined,
  text: string,
  here: string,
): Html {
  return html`<h2>Shared with another store path</h2>
<form class="bar" action="${here}"><input type="hidden" name="show" value="storage"><input name="with" value="${text === ALL ? '' : text}" placeholder="Store path or hash" aria-label="Another store path" autocapitalize="off" autocomplete="off" spellcheck="false"><button>Compare</button></form>
<p class="small"><a href="${here}?show=storage&amp;with=${ALL}">Compare with all other store paths</a></p>
${text !== '' && text !== ALL && other === undefined && html`<p class="note">The store has no such store path.</p>`}
${
  shared !== undefined &&
  other !== undefined &&
  html`<div class="card padded"><p>Of ${formatBytes(shared.bytes)} in ${counted(shared.chunks, 'different chunk')}, <b>${formatBytes(shared.sharedBytes)}</b> in ${formatCount(shared.sharedChunks)} are in <b>${other.storePath.name}</b> too.</p>${bar(shared.sharedBytes, shared.bytes)}</div>`
}`
}

/** What came of the comparison with all other store paths. */
function everywhereOf({
  chunks,
  bytes,
  sharedChunks,
  sharedBytes,
  others,
  complete,
}: ContentSharedWithOthers): Html {
  const where = html`${complete ? 'other store paths' : html`the first ${formatCount(others)} other store paths`}`
  return html`<div class="card padded"><p>Of ${formatBytes(bytes)} in ${counted(chunks, 'different chunk')}, <b>${formatBytes(sharedBytes)}</b> in ${formatCount(sharedChunks)} are in ${where} too.</p>${bar(sharedBytes, bytes)}</div>`
}

/** The contents of all store paths but this one. */
async function* otherNodes(
  store: BridgeStore,
  { info }: Located,
  signal: AbortSignal,
): AsyncGenerator<Node, void, undefined> {
  for await (const { storePath, node } of store.pathInfos.list({ signal })) {
    if (!info.storePath.equals(storePath)) yield node
  }
}

/** A part of a whole, drawn. */
function bar(part: bigint, whole: bigint): Html {
  const percent = whole === 0n ? 0 : Number((part * 1000n) / whole) / 10
  return html`<div class="meter"><svg viewBox="0 0 100 1" preserveAspectRatio="none" role="img" aria-label="${percent} %"><rect width="${Math.min(percent, 100)}" height="1"/></svg></div>`
}
