import type { BridgeStore } from '../bridge-options.js'
import { attachment } from '../content-disposition.js'
import type { BridgeRequest, Reply } from '../exchange.js'
import { HttpError } from '../http-error.js'
import type { NarRoutes } from '../nar-routes.js'
import type { Located } from './locate.js'

/** Forms in which something is taken away whole. */
export const ARCHIVES = ['nar'] as const
export type ArchiveForm = (typeof ARCHIVES)[number]

/**
 * Something in the store as an archive.
 *
 * @throws HttpError 404 for a form that is none
 */
export async function downloadReply(
  store: BridgeStore,
  nars: NarRoutes,
  { node, names, info }: Located,
  form: string,
  request: BridgeRequest,
): Promise<Reply> {
  const name = names.length === 1 ? Buffer.from(info.storePath.name) : names.at(-1)!.bytes
  if (form !== 'nar') throw new HttpError(404, `expected a download as one of ${ARCHIVES.join(', ')}`)
  const reader = await store.openNar(node, { signal: request.signal })
  const reply = await nars.plain({ node, narSize: reader.size }, request)
  // The archive never changes; what is found under this name may.
  const headers = { 'cache-control': 'no-cache', 'content-disposition': attachment(name, '.nar') }
  return reply.status === 416 ? reply : { ...reply, headers: { ...reply.headers, ...headers } }
}
