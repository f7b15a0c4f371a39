import type { BridgeRequest } from './exchange.js'

/** Longer lists of tags are not read. */
const MAX_LENGTH = 4096

/** Whether the client has it already, as `If-None-Match` says (RFC 9110 section 13.1.2). */
export function isKnown(request: BridgeRequest, etag: string): boolean {
  const header = request.header('if-none-match')
  if (header === undefined || header.length > MAX_LENGTH) return false
  if (header.trim() === '*') return true
  return header.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag.replace(/^W\//, ''))
}

/** The `Range` header, unless `If-Range` says that it is about something else (RFC 9110 section 13.1.5). */
export function wantedRange(request: BridgeRequest, etag: string): string | undefined {
  const condition = request.header('if-range')
  return condition === undefined || condition.trim() === etag ? request.header('range') : undefined
}
