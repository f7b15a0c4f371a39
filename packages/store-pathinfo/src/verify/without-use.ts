import type { PushSource } from '../push/push-closure.js'

/** A store as somebody sees it who looks after it: verifying is not using, what is garbage stays so. */
export function withoutUse({ blobs, directories, pathInfos }: PushSource): PushSource {
  return {
    blobs: blobs.withoutUse?.() ?? blobs,
    directories: directories.withoutUse?.() ?? directories,
    pathInfos: pathInfos.withoutUse?.() ?? pathInfos,
  }
}
