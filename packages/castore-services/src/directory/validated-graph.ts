import type { Directory } from '@neve/castore-model'
import type { GraphNode } from './graph.js'

/**
 * A closure that was found to be whole (spec 03 section 4). Iterating gives leaves to root; it can be drained any number
 * of times.
 */
export class ValidatedGraph implements Iterable<Directory> {
  readonly #root: GraphNode | undefined

  /** @param size how many distinct directories it has */
  constructor(
    root: GraphNode | undefined,
    readonly size: number,
  ) {
    this.#root = root
  }

  /** The directory that no other one references; undefined when there are none. */
  get root(): Directory | undefined {
    return this.#root?.directory
  }

  [Symbol.iterator](): Generator<Directory, void, undefined> {
    return this.leavesToRoot()
  }

  /** Each directory once, after everything it references; the root last. Depth first, in order of names. */
  *leavesToRoot(): Generator<Directory, void, undefined> {
    if (this.#root === undefined) return
    const seen = new Set([this.#root])
    // An own stack: a closure may be deeper than the language's.
    const path = [{ node: this.#root, next: 0 }]
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const child = top.node.children[top.next]
      top.next += 1
      if (child === undefined) {
        path.pop()
        yield top.node.directory!
      } else if (!seen.has(child)) {
        seen.add(child)
        path.push({ node: child, next: 0 })
      }
    }
  }

  /** Each directory once, after one that references it; the root first. Breadth first, in order of names. */
  *rootToLeaves(): Generator<Directory, void, undefined> {
    if (this.#root === undefined) return
    // A Set keeps its order of insertion, and what is added while it is walked is walked too.
    const queue = new Set([this.#root])
    for (const node of queue) {
      yield node.directory!
      for (const child of node.children) queue.add(child)
    }
  }
}
