import { DigestSet } from './digest-set.js'
import { KeyList } from './key-list.js'

/**
 * Puts things in an order in which each comes before all that it refers to. Cycles are cut somewhere.
 *
 * @param all the digests of different things, all of one length
 * @param childrenOf what one refers to; what is not among `all` is passed over
 */
export function parentsFirst(
  all: Iterable<Uint8Array> & { readonly length: number },
  childrenOf: (one: Uint8Array) => readonly Uint8Array[],
): KeyList {
  const among = new DigestSet()
  let width = 1
  for (const one of all) {
    among.add(one)
    width = one.length
  }
  const seen = new DigestSet()
  const order = new KeyList(width, all.length)
  for (const first of all) {
    if (!seen.add(first)) continue
    const open = [{ one: first, children: childrenOf(first).values() }]
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const child = top.children.next()
      if (child.done === true) {
        order.push(top.one)
        open.pop()
      } else if (among.has(child.value) && seen.add(child.value)) {
        open.push({ one: child.value, children: childrenOf(child.value).values() })
      }
    }
  }
  return order.reverse()
}
