import type { Directory } from '@neve/castore-model'
import type { StorePath } from '@neve/nix-compat'
import type { PathInfo, Store } from '@neve/store-pathinfo'

export interface Tree {
  readonly children: ReadonlyMap<string, unknown>
  readonly directory: Directory
}

export const PACKAGES: number
export function packageOf(number: number): Tree & { readonly references: readonly number[] }
export function pathInfoOf(number: number): PathInfo
export function pathOf(number: number): StorePath
export function closureOf(number: number): number[]
export function putTree(
  store: Pick<Store, 'blobs' | 'directories'>,
  tree: Tree,
  pause?: number,
): Promise<void>
export function checkPackage(
  store: Pick<Store, 'blobs' | 'directories' | 'pathInfos'>,
  number: number,
): Promise<void>
export function writeTree(path: string, tree: Tree): void
