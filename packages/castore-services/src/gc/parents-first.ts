/**
 * Puts things in an order in which each comes before all that it refers to. Cycles are cut somewhere.
 *
 * @param all different things
 * @param childrenOf what one refers to; what is not among `all` is passed over
 */
export function parentsFirst(
  all: readonly Uint8Array[],
  childrenOf: (one: Uint8Array) => readonly Uint8Array[],
): Uint8Array[] {
  const among = new Map(all.map((one) => [keyOf(one), one]))
  const order: Uint8Array[] = []
  for (const first of all) {
    if (!among.delete(keyOf(first))) continue
    const open = [{ one: first, children: childrenOf(first).values() }]
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const child = top.children.next()
      if (child.done === true) {
        order.push(top.one)
        open.pop()
      } else if (among.delete(keyOf(child.value))) {
        open.push({ one: child.value, children: childrenOf(child.value).values() })
      }
    }
  }
  return order.reverse()
}

function keyOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}
