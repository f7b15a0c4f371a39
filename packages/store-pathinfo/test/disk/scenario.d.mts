import type { EmbeddedStoreOptions } from '@neve/embedded-store'
import type { Store } from '@neve/store-pathinfo'

export function writeTrees(folder: string): void
export function openSmallStore(path: string, options?: EmbeddedStoreOptions): Promise<Store>
export function live(folder: string, trees: string, promise?: (text: string) => void): Promise<void>
