import type { Instance } from './instance.js'
import type { Kind } from './kind.js'
import { parseReference } from './reference.js'
import type { Builder } from './service-type.js'

/** Something that is wrong with a composition, or looks as if it were. */
export interface Problem {
  /** An error makes `build` fail when it gets there; a warning does not. */
  readonly severity: 'error' | 'warning'
  readonly code: 'not-found' | 'recursion' | 'unreachable'
  /** Name of the kind. */
  readonly kind: string
  /** Name of the instance. */
  readonly instance: string
  /** The way to what is wrong: instances and keys, the first being the instance. */
  readonly path: readonly string[]
  /** For a person, in one line. */
  readonly message: string
}

/** The names that an instance is looked for under where nobody says one. */
export const ENTRYPOINTS: readonly string[] = ['root', 'default']

export interface ValidateOptions {
  /** The instances that are asked for from outside. Default: those called `default` or `root`. */
  readonly entrypoints?: readonly { readonly kind: Kind<unknown>; readonly name: string }[] | undefined
}

/** An instance that a builder names, and the keys that lead there. */
interface Edge {
  readonly kind: string
  readonly name: string
  readonly key: string
}

/** Finds references that lead nowhere, circles, and instances that nobody needs (spec 04 section 10, W1 and W7). */
export function findProblems(instances: readonly Instance[], options: ValidateOptions): readonly Problem[] {
  const graph = new Graph(instances)
  const entrypoints =
    options.entrypoints?.map(({ kind, name }) => ({
      kind: kind.name,
      name,
      label: `${kind.name}:${name}`,
    })) ??
    instances
      .filter(({ name }) => ENTRYPOINTS.includes(name))
      .map(({ kind, name, label }) => ({ kind: kind.name, name, label }))
  const missing = entrypoints.filter(({ label }) => !graph.has(label))
  return [
    ...missing.map(({ kind, name, label }) => notFound(kind, name, [label])),
    ...graph.dangling(),
    ...graph.circles(),
    ...(entrypoints.length === 0 ? [] : graph.unreachable(entrypoints.map(({ label }) => label))),
  ]
}

class Graph {
  readonly #instances: ReadonlyMap<string, Instance>
  readonly #edges: ReadonlyMap<string, readonly Edge[]>

  constructor(instances: readonly Instance[]) {
    this.#instances = new Map(instances.map((instance) => [instance.label, instance]))
    this.#edges = new Map(instances.map(({ label, builder }) => [label, edgesOf(builder)]))
  }

  has(label: string): boolean {
    return this.#instances.has(label)
  }

  dangling(): readonly Problem[] {
    return [...this.#instances.values()].flatMap(({ kind, name, label }) =>
      this.#edgesOf(label)
        .filter((edge) => !this.has(labelOf(edge)))
        .map((edge) => notFound(kind.name, name, [label, edge.key, labelOf(edge)], edge.name)),
    )
  }

  /** For each instance the first circle that comes back to it, on a walk through everything. */
  circles(): readonly Problem[] {
    const problems: Problem[] = []
    const done = new Set<string>()
    const heads = new Set<string>()
    for (const start of this.#instances.keys()) this.#walk(start, done, heads, problems)
    return problems
  }

  unreachable(entrypoints: readonly string[]): readonly Problem[] {
    const reached = new Set<string>()
    const open = [...entrypoints]
    for (let label = open.pop(); label !== undefined; label = open.pop()) {
      if (reached.has(label)) continue
      reached.add(label)
      open.push(...this.#edgesOf(label).map(labelOf))
    }
    return [...this.#instances.values()]
      .filter(({ label }) => !reached.has(label))
      .map(({ kind, name, label }) => ({
        severity: 'warning',
        code: 'unreachable',
        kind: kind.name,
        instance: name,
        path: [label],
        message: `${label} is not used by ${entrypoints.join(', ')}`,
      }))
  }

  /** Depth first with a stack of its own: a chain may be longer than the stack of calls. */
  #walk(start: string, done: Set<string>, heads: Set<string>, problems: Problem[]): void {
    const path: { readonly label: string; readonly key: string; readonly edges: Edge[] }[] = []
    const onPath = new Set<string>()
    const enter = (label: string, key: string): void => {
      path.push({ label, key, edges: [...this.#edgesOf(label)] })
      onPath.add(label)
    }
    if (!done.has(start)) enter(start, '')
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const edge = top.edges.shift()
      if (edge === undefined) {
        done.add(top.label)
        onPath.delete(top.label)
        path.pop()
        continue
      }
      const label = labelOf(edge)
      if (onPath.has(label)) {
        if (heads.has(label)) continue
        heads.add(label)
        const around = path.slice(path.findIndex((step) => step.label === label))
        const way = around.flatMap((step, index) => (index === 0 ? [step.label] : [step.key, step.label]))
        problems.push(recursion(this.#instances.get(label)!, [...way, edge.key, label]))
      } else if (!done.has(label) && this.has(label)) {
        enter(label, edge.key)
      }
    }
  }

  #edgesOf(label: string): readonly Edge[] {
    return this.#edges.get(label) ?? []
  }
}

/** The named instances that a builder asks for, also those that addresses in it ask for. */
function edgesOf(builder: Builder<unknown>, prefix = ''): readonly Edge[] {
  return (builder.references ?? []).flatMap(({ kind, key, value, builder: inner }) => {
    if (inner !== undefined) return edgesOf(inner, `${prefix}${key}.`)
    const target = parseReference(value)
    return target.form === 'address' ? [] : [{ kind: kind.name, name: target.name, key: `${prefix}${key}` }]
  })
}

function labelOf({ kind, name }: Edge): string {
  return `${kind}:${name}`
}

function notFound(kind: string, instance: string, path: readonly string[], missing = instance): Problem {
  const message = `store not found: ${missing} (${path.join(' → ')})`
  return { severity: 'error', code: 'not-found', kind, instance, path, message }
}

function recursion({ kind, name }: Instance, path: readonly string[]): Problem {
  const message = `recursion not allowed (${path.join(' → ')})`
  return { severity: 'error', code: 'recursion', kind: kind.name, instance: name, path, message }
}
