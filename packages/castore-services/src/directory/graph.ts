import { type B3Digest, type Directory, type PathComponent, sizeAccepted } from '@neve/castore-model'
import { CastoreError, DirectoryOrderError, WrongSizeError } from '../errors.js'
import { LeavesToRoot, RootToLeaves } from './order.js'
import { ValidatedGraph } from './validated-graph.js'

/** A directory that was seen, or that one which was seen references. */
export interface GraphNode {
  /** Undefined until it came itself. */
  directory: Directory | undefined
  /** Once for each entry that references a directory, in order of names. */
  readonly children: GraphNode[]
  /** Whether another directory references it. */
  referenced: boolean
  /** What references claim about it, to be checked when it comes. */
  claims: SizeClaim[]
}

interface SizeClaim {
  readonly name: PathComponent
  readonly digest: B3Digest
  readonly size: bigint
}

/**
 * Checks that directories make up one closure: every one referenced before (or after) it comes, sizes right, nothing
 * missing, one root (spec 03 section 4). References may differ from the once-count as DESIGN decision 2 allows.
 */
export class DirectoryGraph {
  readonly #nodes = new Map<string, GraphNode>()
  readonly #checkOrder: (directory: Directory) => void

  private constructor(checkOrder: (directory: Directory) => void) {
    this.#checkOrder = checkOrder
  }

  /** A graph for an upload: children come before their parents. */
  static leavesToRoot(): DirectoryGraph {
    const order = new LeavesToRoot()
    return new DirectoryGraph((directory) => {
      if (!order.add(directory)) throw new DirectoryOrderError(directory.digest(), order.missing(directory))
    })
  }

  /**
   * A graph for what is received: parents come before their children.
   *
   * @param root the digest that has to come first. Default: any
   */
  static rootToLeaves(root?: B3Digest): DirectoryGraph {
    const order = new RootToLeaves(root)
    return new DirectoryGraph((directory) => {
      if (!order.add(directory)) throw new DirectoryOrderError(directory.digest())
    })
  }

  /**
   * Adds a directory. Adding one again changes nothing.
   *
   * @throws DirectoryOrderError when it may not come now; the graph is as before
   * @throws WrongSizeError when it references another, or is referenced, with a wrong size; the graph cannot be used
   *   any more
   */
  add(directory: Directory): void {
    this.#checkOrder(directory)
    const node = this.#nodeOf(directory.digest())
    if (node.directory !== undefined) return
    for (const { name, node: reference } of directory.directories()) {
      const child = this.#nodeOf(reference.digest)
      const claim = { name, digest: reference.digest, size: reference.size }
      if (child.directory === undefined) child.claims.push(claim)
      else check(claim, child.directory)
      child.referenced = true
      node.children.push(child)
    }
    for (const claim of node.claims) check(claim, directory)
    node.claims = []
    node.directory = directory
  }

  /**
   * Checks the closure as a whole. A graph without directories is fine, and has no root.
   *
   * @throws CastoreError `disconnected` with more than one root, `incomplete` when a referenced directory is missing
   */
  validate(): ValidatedGraph {
    const nodes = [...this.#nodes.values()]
    const roots = nodes.filter((node) => !node.referenced)
    if (roots.length > 1) {
      const digests = roots.slice(0, 3).map((node) => node.directory?.digest().toString())
      throw new CastoreError(
        'disconnected',
        `graph has disconnected roots: expected one, got ${roots.length} (${digests.join(', ')}${roots.length > 3 ? ', …' : ''})`,
      )
    }
    const missing = nodes.find((node) => node.directory === undefined)
    if (missing !== undefined) {
      const { digest, name } = missing.claims[0]!
      throw new CastoreError('incomplete', `graph is incomplete: directory ${digest} of '${name}' is missing`)
    }
    return new ValidatedGraph(roots[0], nodes.length)
  }

  #nodeOf(digest: B3Digest): GraphNode {
    let node = this.#nodes.get(digest.key)
    if (node === undefined) {
      node = { directory: undefined, children: [], referenced: false, claims: [] }
      this.#nodes.set(digest.key, node)
    }
    return node
  }
}

function check({ name, digest, size }: SizeClaim, directory: Directory): void {
  if (!sizeAccepted(size, directory))
    throw new WrongSizeError(name.toString(), digest, size, directory.size())
}
