import { createHash } from 'node:crypto'
import { filledEntries, plannedEntries } from '../archive/archive-entry.js'
import { gathered } from '../archive/gathered.js'
import { tarArchive, tarLength } from '../archive/tar.js'
import { ZipNameError, zipArchive, zipLength } from '../archive/zip.js'
import type { BridgeStore } from '../bridge-options.js'
import { isKnown } from '../conditions.js'
import { attachment } from '../content-disposition.js'
import { type BridgeRequest, begun, type Reply } from '../exchange.js'
import { HttpError } from '../http-error.js'
import type { NarRoutes } from '../nar-routes.js'
import { nodeText } from '../nar-url.js'
import type { Located } from './locate.js'

/** Forms in which something is taken away whole. */
export const ARCHIVES = ['nar', 'tar', 'zip'] as const

/**
 * Something in the store as an archive, with its length, made while it is sent.
 *
 * @throws HttpError 404 for a form that is none, 409 for what a form cannot hold
 */
export async function downloadReply(
  store: BridgeStore,
  nars: NarRoutes,
  found: Located,
  form: string,
  request: BridgeRequest,
): Promise<Reply> {
  const { node, names, info } = found
  const name = names.length === 1 ? Buffer.from(info.storePath.name) : names.at(-1)!.bytes
  if (form === 'tar' || form === 'zip') return archiveReply(store, { ...found, name }, form, request)
  if (form !== 'nar') throw new HttpError(404, `expected a download as one of ${ARCHIVES.join(', ')}`)
  const reader = await store.openNar(node, { signal: request.signal })
  const reply = await nars.plain({ node, narSize: reader.size }, request)
  // The archive never changes; what is found under this name may.
  const headers = { 'cache-control': 'no-cache', 'content-disposition': attachment(name, '.nar') }
  return reply.status === 416 ? reply : { ...reply, headers: { ...reply.headers, ...headers } }
}

async function archiveReply(
  store: BridgeStore,
  { node, name }: Pick<Located, 'node'> & { readonly name: Uint8Array },
  form: 'tar' | 'zip',
  request: BridgeRequest,
): Promise<Reply> {
  const { method, signal } = request
  const tag = createHash('sha256')
    .update(`${nodeText(node)} `)
    .update(name)
    .digest('base64url')
  const headers = {
    'content-type': form === 'tar' ? 'application/x-tar' : 'application/zip',
    'content-disposition': attachment(name, `.${form}`),
    'cache-control': 'no-cache',
    'x-content-type-options': 'nosniff',
    'accept-ranges': 'none',
    etag: `"${tag}-${form}"`,
  }
  if (isKnown(request, headers.etag)) return { status: 304, headers }
  const plan = () => plannedEntries(store.directories, node, name, signal)
  const length = await (form === 'tar' ? tarLength(plan()) : zipLength(plan())).catch((error: unknown) => {
    throw error instanceof ZipNameError ? new HttpError(409, error.message) : error
  })
  const told = { ...headers, 'content-length': `${length}` }
  if (method === 'HEAD') return { status: 200, headers: told }
  const entries = filledEntries(store.nar(node, { signal }), name)
  const archive = form === 'tar' ? tarArchive(entries) : zipArchive(entries, plan)
  return { status: 200, headers: told, body: { source: await begun(gathered(archive)), length } }
}
