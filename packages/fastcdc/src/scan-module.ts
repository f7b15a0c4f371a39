/** Where things lie in the module's one page of memory: the gear table, the hash, the mask, the bytes to scan. */
export const GEAR_OFFSET = 0
export const HASH_OFFSET = 2048
export const MASK_OFFSET = 2056
export const WINDOW_OFFSET = 4096
/** Small enough to stay in the processor's first cache, and large enough that calls do not matter. */
export const WINDOW_SIZE = 16384

/** Bytes handled by one turn of the main loop. */
const UNROLL = 8

const I32 = 0x7f
const I64 = 0x7e
const VOID = 0x40

const LENGTH = 0
const POSITION = 1
const HASH = 2
const MASK = 3

const BLOCK = 0x02
const LOOP = 0x03
const IF = 0x04
const END = 0x0b
const BR_IF = 0x0d
const RETURN = 0x0f
const I32_ADD = 0x6a
const I32_SHL = 0x74
const I32_GT_U = 0x4b
const I32_GE_U = 0x4f
const I64_ADD = 0x7c
const I64_AND = 0x83
const I64_SHL = 0x86
const I64_EQZ = 0x50

/**
 * A WebAssembly module, written out here instruction by instruction so that there is neither a binary to trust nor a
 * compiler to install. It exports `memory` and one function:
 *
 * `scan(length: i32) -> i32` rolls the hash over the first `length` bytes of the window. It returns the index of the
 * first byte after which no bit of the mask is set in the hash, else `length`, having stored the hash.
 */
export function scanModule(): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, [1, 0x60, 1, I32, 1, I32]),
    ...section(3, [1, 0]),
    ...section(5, [1, 0x00, 1]),
    ...section(7, [2, ...name('memory'), 0x02, 0, ...name('scan'), 0x00, 0]),
    ...section(10, [1, ...sized(scanBody())]),
  ])
}

function scanBody(): number[] {
  const unrolled = Array.from({ length: UNROLL }, (_, offset) => step(offset)).flat()
  return [
    ...[2, 1, I32, 2, I64],
    ...[...i32(0), ...load64(HASH_OFFSET), ...set(HASH)],
    ...[...i32(0), ...load64(MASK_OFFSET), ...set(MASK)],

    ...[BLOCK, VOID, LOOP, VOID],
    ...[...get(POSITION), ...i32(UNROLL), I32_ADD, ...get(LENGTH), I32_GT_U, BR_IF, 1],
    ...unrolled,
    ...[...get(POSITION), ...i32(UNROLL), I32_ADD, ...set(POSITION)],
    ...[0x0c, 0, END, END],

    ...[BLOCK, VOID, LOOP, VOID],
    ...[...get(POSITION), ...get(LENGTH), I32_GE_U, BR_IF, 1],
    ...step(0),
    ...[...get(POSITION), ...i32(1), I32_ADD, ...set(POSITION)],
    ...[0x0c, 0, END, END],

    ...[...i32(0), ...get(HASH), ...store64(HASH_OFFSET)],
    ...get(LENGTH),
    END,
  ]
}

/** `hash = (hash << 1) + gear[window[position + offset]]`, and return of the index when no bit of the mask is left. */
function step(offset: number): number[] {
  return [
    ...[...get(HASH), ...i64(1), I64_SHL],
    ...[...get(POSITION), ...load8(WINDOW_OFFSET + offset), ...i32(3), I32_SHL, ...load64(GEAR_OFFSET)],
    ...[I64_ADD, ...tee(HASH)],
    ...[...get(MASK), I64_AND, I64_EQZ, IF, VOID],
    ...[...get(POSITION), ...i32(offset), I32_ADD, RETURN, END],
  ]
}

const get = (local: number): number[] => [0x20, local]
const set = (local: number): number[] => [0x21, local]
const tee = (local: number): number[] => [0x22, local]
const i32 = (value: number): number[] => [0x41, value]
const i64 = (value: number): number[] => [0x42, value]
const load8 = (offset: number): number[] => [0x2d, 0, ...leb(offset)]
const load64 = (offset: number): number[] => [0x29, 3, ...leb(offset)]
const store64 = (offset: number): number[] => [0x37, 3, ...leb(offset)]

const section = (id: number, content: number[]): number[] => [id, ...sized(content)]
const sized = (content: number[]): number[] => [...leb(content.length), ...content]
const name = (text: string): number[] => [text.length, ...new TextEncoder().encode(text)]

/** An unsigned number in LEB128, as lengths and offsets are written. */
function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)]
}
