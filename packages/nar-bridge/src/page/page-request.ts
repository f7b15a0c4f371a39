import { decodeNixbase32, Nixbase32Error } from '@neve/nix-compat'
import type { BridgeRequest } from '../exchange.js'

const MAX_TEXT = 300

/** A request for a page: what its URL says, and where links have to start from. */
export interface PageRequest {
  readonly request: BridgeRequest
  /** Without the slash before it, nothing decoded. */
  readonly path: string
  readonly query: URLSearchParams
  /** The query as it came, with the mark before it; empty for none. */
  readonly search: string
  /** Whether a program asks, which wants JSON. */
  readonly json: boolean
  /**
   * Leads from the page to the root of the cache, wherever a proxy has put that: `../../`. Links are relative so that
   * nobody has to tell us.
   */
  readonly base: string
}

/** @param target path and query, with the slash before it */
export function pageRequest(request: BridgeRequest, target: string): PageRequest {
  const mark = target.indexOf('?')
  const path = target.slice(1, mark < 0 ? undefined : mark)
  const search = mark < 0 ? '' : target.slice(mark)
  const query = new URLSearchParams(search)
  const depth = path.split('/').length - 1
  return { request, path, query, search, json: wantsJson(request, query), base: '../'.repeat(depth) || './' }
}

function wantsJson(request: BridgeRequest, query: URLSearchParams): boolean {
  const format = query.get('format')
  if (format !== null) return format === 'json'
  const accept = request.header('accept') ?? ''
  return accept.includes('application/json') && !accept.includes('text/html')
}

/** Words of the query that come back in the page: without controls, and not longer than anything that is looked for. */
export function queryText(query: URLSearchParams, name: string): string {
  return (query.get(name) ?? '')
    .replace(/\p{C}+/gu, ' ')
    .trim()
    .slice(0, MAX_TEXT)
}

/** A number of a page in the query, from 1 on; 1 for anything else. */
export function pageNumber(query: URLSearchParams): number {
  const text = query.get('page') ?? ''
  return /^[1-9]\d{0,8}$/.test(text) ? Number(text) : 1
}

/** Reads the hash of a store path; undefined for what is none. */
export function digestOf(text: string | null): Uint8Array | undefined {
  if (text?.length !== 32) return undefined
  try {
    return decodeNixbase32(text, 20)
  } catch (error) {
    if (error instanceof Nixbase32Error) return undefined
    throw error
  }
}
