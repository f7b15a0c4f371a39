import type { PathComponent } from '@neve/castore-model'
import { ByteSemaphore } from '@neve/castore-services'
import { type SecretKey, STORE_DIR } from '@neve/nix-compat'
import { signPathInfo } from '@neve/store-pathinfo'
import type { BridgeStore } from '../bridge-options.js'
import { attachment } from '../content-disposition.js'
import type { BridgeRequest, Reply } from '../exchange.js'
import { fileReply } from '../file-reply.js'
import { HttpError } from '../http-error.js'
import type { NarRoutes } from '../nar-routes.js'
import { decodeNames, encodeNames } from '../url-names.js'
import { directoryPage } from './directory-page.js'
import { pageReply, redirect } from './document.js'
import { downloadReply } from './download.js'
import { filePage } from './file-page.js'
import { type CacheFacts, homePage } from './home-page.js'
import { html } from './html.js'
import { locate } from './locate.js'
import { type PageRequest, pageRequest } from './page-request.js'
import { closurePage, referrersPage } from './reference-pages.js'
import { storagePage } from './storage-page.js'

const STORE = `${STORE_DIR}/`

/** Pages that have to look at much of the store and are made at once. */
const COSTLY_PAGES = 2

/**
 * What is in the store is not ours: it runs no scripts, sends no forms, and has no part in what a browser keeps for
 * this host. What it needs to look like itself may come from beside it.
 */
const FOREIGN = {
  'content-security-policy':
    "sandbox; default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; media-src 'self'",
}

/** The pages for people: what the cache is, and what is in its store. */
export class PageRoutes {
  readonly #store: BridgeStore
  readonly #nars: NarRoutes
  readonly #facts: CacheFacts
  readonly #signKeys: readonly SecretKey[]
  readonly #turns = new ByteSemaphore(COSTLY_PAGES)

  /** @param signKeys with which what is served is signed */
  constructor(store: BridgeStore, nars: NarRoutes, facts: CacheFacts, signKeys: readonly SecretKey[]) {
    this.#store = store
    this.#nars = nars
    this.#facts = facts
    this.#signKeys = signKeys
  }

  /**
   * @param target path and query, with the slash before it
   * @returns undefined for what is no page
   */
  async answer(request: BridgeRequest, target: string): Promise<Reply | undefined> {
    const page = pageRequest(request, target)
    if (page.path === '') {
      const isSearch = page.query.has('q')
      const make = () => homePage(this.#store, this.#facts, page)
      return isSearch ? this.#inTurn(page, make) : make()
    }
    if (!`/${page.path}`.startsWith(STORE)) return undefined
    const rest = page.path.slice(STORE.length - 1)
    const isFolder = rest.endsWith('/')
    const names = decodeNames(isFolder ? rest.slice(0, -1) : rest)
    if (names === undefined || names.length === 0) return notFound(page)
    return this.#place(names, page, isFolder)
  }

  async #place(names: readonly PathComponent[], page: PageRequest, isFolder: boolean): Promise<Reply> {
    const { request, query } = page
    const { signal } = request
    const follow = names.length > 1 || query.has('follow')
    const located = await locate(this.#store, names, { follow, signal })
    if (located === undefined) return notFound(page)
    if (located.moved) return redirect(page, `nix/store/${encodeNames(located.names)}${page.search}`)
    const info = this.#signKeys.reduce(signPathInfo, located.info)
    const found = { ...located, info }
    const { node } = found
    if (isFolder && node.kind !== 'directory') return notFound(page)
    const form = query.get('download')
    if (form !== null && form !== 'raw') return downloadReply(this.#store, this.#nars, found, form, request)
    const show = query.get('show')
    if (show === 'storage') return this.#inTurn(page, () => storagePage(this.#store, found, page))
    if (found.names.length === 1) {
      if (show === 'closure') return this.#inTurn(page, () => closurePage(this.#store, found, page))
      if (show === 'referrers') return this.#inTurn(page, () => referrersPage(this.#store, found, page))
    }
    if (node.kind !== 'file') return directoryPage(this.#store, found, page)
    const isShown = found.names.length === 1 ? !query.has('raw') && form === null : show === 'file'
    if (isShown) return filePage(this.#store, found, node, page)
    const name = found.names.at(-1)!.bytes
    const saved = form === null ? {} : { 'content-disposition': attachment(name) }
    return fileReply(this.#store.blobs, node, name, request, { ...FOREIGN, ...saved })
  }

  /** Pages that have to look at much of the store wait for each other, so that Nix need not wait for them. */
  async #inTurn(page: PageRequest, make: () => Promise<Reply>): Promise<Reply> {
    using _turn = await this.#turns.acquire(1, { signal: page.request.signal })
    return await make()
  }
}

function notFound(page: PageRequest): Reply {
  if (page.json) throw new HttpError(404, 'not found')
  const main = html`<h1>Not found</h1>
<p class="quiet">The store has nothing under this name, or a link leads out of it.</p>`
  return pageReply(page, { title: 'Not found · Neve', main, status: 404 })
}
