import { Directory } from '@neve/castore-model'

/**
 * Directories from their encodings, children before their parents; references to others are passed over.
 *
 * @param encodings by the keys of their digests
 * @param root only what is below this one, which comes last. Default: all
 */
export function* leavesFirst(
  encodings: ReadonlyMap<string, Uint8Array>,
  root?: string,
): Generator<Directory, void, undefined> {
  const seen = new Set<string>()
  const open: { readonly directory: Directory; readonly children: Iterator<string> }[] = []
  const enter = (key: string): void => {
    const encoded = encodings.get(key)
    if (encoded === undefined || seen.has(key)) return
    seen.add(key)
    const directory = Directory.decode(encoded)
    open.push({ directory, children: childKeys(directory) })
  }
  for (const start of root === undefined ? encodings.keys() : [root]) {
    enter(start)
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const child = top.children.next()
      if (child.done !== true) {
        enter(child.value)
        continue
      }
      open.pop()
      yield top.directory
    }
  }
}

function* childKeys(directory: Directory): Generator<string> {
  for (const { node } of directory.directories()) yield node.digest.key
}
