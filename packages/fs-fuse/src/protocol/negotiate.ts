import { InitFlag, PROTOCOL } from './constants.js'
import type { ReplyWriter } from './reply.js'
import type { FuseRequest } from './request.js'

/** What the kernel offers, and what of it is taken (spec 05 sections 11.5 and 11.9). */
export interface Negotiated {
  readonly major: number
  readonly minor: number
  readonly flags: number
  readonly maxReadahead: number
}

/** Requests that the kernel may have under way in the background, and the number from which it counts as congested. */
const MAX_BACKGROUND = 64
const CONGESTION = 48
/** Nothing is written: the least that the kernel accepts. */
const MAX_WRITE = 4096
/** Pages in one request: reads of up to 1 MiB. */
const MAX_PAGES = 256

const WANTED = Object.values(InitFlag).reduce((all, flag) => all | flag, 0)

/** Reads an INIT request, and decides. */
export function negotiate(request: FuseRequest): Negotiated {
  const major = request.u32(0)
  const minor = request.u32(4)
  const extended = request.bodyLength >= 16
  return {
    major,
    minor: Math.min(minor, PROTOCOL.minor),
    flags: extended ? request.u32(12) & WANTED : 0,
    maxReadahead: extended ? request.u32(8) : 0,
  }
}

/** Writes the body of the reply, in the length that the version has. */
export function writeInit(reply: ReplyWriter, { minor, flags, maxReadahead }: Negotiated): void {
  reply.u32(PROTOCOL.major).u32(minor)
  if (minor < 5) return
  reply.u32(maxReadahead).u32(flags)
  reply.u16(MAX_BACKGROUND).u16(CONGESTION).u32(MAX_WRITE)
  if (minor < 23) return
  reply.u32(1).u16(MAX_PAGES).u16(0).zeros(32)
}
