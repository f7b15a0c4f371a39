export function keyOfSeed(seed: string): Uint8Array
export function contentOf(seed: string): Uint8Array
