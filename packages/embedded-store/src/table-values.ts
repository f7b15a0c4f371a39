import { readU32, writeU32 } from './record.js'

/** Where the record of some content lies. Lengths and offsets are in bytes. */
export interface Location {
  readonly segment: number
  readonly offset: number
  readonly storedLength: number
  readonly rawLength: number
}

/** What is known of a segment file: how far it is committed, and whether anything may still be appended. */
export interface SegmentState {
  readonly committed: number
  readonly sealed: boolean
  /** Length of the records of tables that a compaction found to be needed, in bytes; absent where none has looked. */
  readonly needed?: number
}

/** The state of a segment that is no more: its number is never used again. */
export const REMOVED_SEGMENT: SegmentState = { committed: 0, sealed: true }

export function isRemoved({ committed, sealed }: SegmentState): boolean {
  return sealed && committed === 0
}

const LOCATION = 16
const STATE = 8

/** The stored form of a {@link Location}. */
export function encodeLocation(
  segment: number,
  offset: number,
  storedLength: number,
  rawLength: number,
): Uint8Array {
  const value = Buffer.allocUnsafe(LOCATION)
  writeU32(value, 0, segment)
  writeU32(value, 4, offset)
  writeU32(value, 8, storedLength)
  writeU32(value, 12, rawLength)
  return value
}

export function decodeLocation(value: Uint8Array): Location | undefined {
  if (value.length !== LOCATION) return undefined
  return {
    segment: readU32(value, 0),
    offset: readU32(value, 4),
    storedLength: readU32(value, 8),
    rawLength: readU32(value, 12),
  }
}

export function encodeSegmentState(state: SegmentState): Uint8Array {
  const value = new Uint8Array(state.needed === undefined ? STATE : STATE + 4)
  writeU32(value, 0, state.committed)
  value[4] = state.sealed ? 1 : 0
  if (state.needed !== undefined) writeU32(value, STATE, state.needed)
  return value
}

export function decodeSegmentState(value: Uint8Array): SegmentState {
  const state = { committed: readU32(value, 0), sealed: value[4] === 1 }
  return value.length < STATE + 4 ? state : { ...state, needed: readU32(value, STATE) }
}

/** The key of a segment's state: its number, big-endian, so that keys sort as numbers do. */
export function segmentKey(id: number): Uint8Array {
  const key = Buffer.alloc(4)
  key.writeUInt32BE(id)
  return key
}

export function segmentOfKey(key: Uint8Array): number {
  return Buffer.from(key.buffer, key.byteOffset, 4).readUInt32BE(0)
}
