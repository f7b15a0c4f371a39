import { type Directory, type Node, PathComponent } from '@neve/castore-model'
import { type BlobService, DataLossError, type DirectoryService } from '@neve/castore-services'
import { checkAccess, type TokenSource } from '../access.js'
import { type BridgeRequest, type Reply, textReply } from '../exchange.js'
import { fileReply } from '../file-reply.js'
import { HttpError } from '../http-error.js'
import { type ErrorListener, type HttpHandler, httpHandler } from '../http-handler.js'
import { decodeNames, encodeNames } from '../url-names.js'
import { autoIndex } from './auto-index.js'
import { linkLocation } from './link-location.js'

/** Where the site is. */
export interface SiteServices {
  readonly blobs: Pick<BlobService, 'open'>
  readonly directories: Pick<DirectoryService, 'get'>
}

/** Options of {@link castoreHttp}. */
export interface CastoreHttpOptions {
  /** Names of the files that stand for their directory; the first that is there does. Default: `index.html`. */
  readonly indexNames?: readonly string[] | undefined
  /** List directories that have no such file, instead of refusing. Default: false. */
  readonly autoIndex?: boolean | undefined
  /** Answer only those who have a token. Default: everybody. */
  readonly tokens?: TokenSource | undefined
  /** Told of failures that are not a client's. Default: nobody is. */
  readonly onError?: ErrorListener | undefined
}

/** Longer request targets than any that means something. */
const MAX_TARGET = 16 * 1024

/**
 * Serves a tree as a web site (spec 08 section 3.6). The services stay open.
 *
 * @param root of the site; a file or link may be one, too
 * @throws PathComponentError for an index name that is none
 */
export function castoreHttp(
  services: SiteServices,
  root: Node,
  options: CastoreHttpOptions = {},
): HttpHandler {
  const site = new Site(services, root, options)
  return httpHandler((request) => site.answer(request), options.onError)
}

class Site {
  readonly #services: SiteServices
  readonly #root: Node
  readonly #indexNames: readonly PathComponent[]
  readonly #autoIndex: boolean
  readonly #tokens: TokenSource | undefined

  constructor(services: SiteServices, root: Node, options: CastoreHttpOptions) {
    const { indexNames = ['index.html'], tokens } = options
    this.#services = services
    this.#root = root
    this.#indexNames = indexNames.map((name) => PathComponent.from(name))
    this.#autoIndex = options.autoIndex ?? false
    this.#tokens = tokens
  }

  async answer(request: BridgeRequest): Promise<Reply> {
    const { method, target } = request
    if (target.length > MAX_TARGET) throw new HttpError(414, `expected a URL of at most ${MAX_TARGET} bytes`)
    if (method !== 'GET' && method !== 'HEAD') {
      throw new HttpError(405, `${method} is not for this`, { allow: 'GET, HEAD' })
    }
    if (this.#tokens !== undefined) checkAccess(request, 'read', this.#tokens)
    const [path] = target.split('?', 1) as [string]
    const names = path.startsWith('/') ? decodeNames(path.slice(1).replace(/\/$/, '')) : undefined
    if (names === undefined || path === '//') throw new HttpError(400, 'expected a path of names, each once')
    return this.#find(names, path.endsWith('/'), request)
  }

  async #find(names: readonly PathComponent[], isFolder: boolean, request: BridgeRequest): Promise<Reply> {
    let node = this.#root
    for (const [i, name] of names.entries()) {
      if (node.kind === 'symlink' && i > 0) return moved(node.target.bytes, names.slice(0, i), names.slice(i))
      if (node.kind !== 'directory') {
        if (i === 0) throw new HttpError(400, 'the root of this site is no directory')
        return missing()
      }
      const child: Node | undefined = (await this.#directory(node, request)).get(name)
      if (child === undefined) return missing()
      node = child
    }
    if (node.kind === 'symlink') return moved(node.target.bytes, names, [])
    if (node.kind === 'directory') {
      if (!isFolder) return redirect(`/${encodeNames(names)}/`)
      return this.#folder(await this.#directory(node, request), names, request)
    }
    if (isFolder && names.length > 0) throw new HttpError(400, 'a file has nothing below it')
    return fileReply(this.#services.blobs, node, names.at(-1)?.bytes ?? new Uint8Array(0), request)
  }

  async #folder(
    directory: Directory,
    names: readonly PathComponent[],
    request: BridgeRequest,
  ): Promise<Reply> {
    for (const name of this.#indexNames) {
      const node = directory.get(name)
      if (node?.kind === 'file') return fileReply(this.#services.blobs, node, name.bytes, request)
      if (node?.kind === 'symlink') return moved(node.target.bytes, [...names, name], [])
    }
    if (this.#autoIndex) return autoIndex(directory, names)
    throw new HttpError(403, 'this directory has no index, and is not listed')
  }

  async #directory(
    { digest }: Extract<Node, { kind: 'directory' }>,
    { signal }: BridgeRequest,
  ): Promise<Directory> {
    const directory = await this.#services.directories.get(digest, { signal })
    if (directory !== undefined) return directory
    throw new DataLossError(digest, 'this store', `directory ${digest} does not exist`)
  }
}

/** @param rest what was asked for below the link */
function moved(target: Uint8Array, link: readonly PathComponent[], rest: readonly PathComponent[]): Reply {
  const location = linkLocation(target, link.slice(0, -1))
  if (location === undefined) throw new HttpError(500, 'a link leads to its own directory')
  return redirect(rest.length === 0 ? location : `${location.replace(/\/$/, '')}/${encodeNames(rest)}`)
}

function redirect(location: string): Reply {
  return textReply(`see ${location}\n`, { status: 307, headers: { location, 'cache-control': 'no-cache' } })
}

function missing(): Reply {
  return textReply('not found\n', { status: 404 })
}
