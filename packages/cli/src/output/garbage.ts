import type { GarbagePath } from '@neve/store-pathinfo/gc'

/** A line of `neve gc` about a store path that is garbage; why it is, where that is only told. */
export function reasonLine(path: GarbagePath, dryRun: boolean): string {
  return `${path.storePath.toAbsolute()}${dryRun ? `\t${reasonText(path)}` : ''}\n`
}

/** The same for programs; times are in seconds since 1970. */
export function reasonsJson(paths: readonly GarbagePath[]) {
  return paths.map(({ storePath, reason, lastUsed }) => ({
    path: storePath.toAbsolute(),
    reason,
    lastUsed: lastUsed === undefined ? undefined : Math.floor(lastUsed / 1000),
  }))
}

function reasonText({ reason, lastUsed }: GarbagePath): string {
  const used = lastUsed === undefined ? 'use not known' : `last used ${new Date(lastUsed).toISOString()}`
  return reason === 'size' ? `no root, ${used}, no room for it` : `no root, ${used}`
}
