import type { Instance } from './instance.js'
import { redactAddress } from './redact.js'
import { parseReference } from './reference.js'
import type { Builder } from './service-type.js'
import { ENTRYPOINTS } from './validation.js'

/** What an instance would be made of, without anything being built. */
export interface ServicePlan {
  /** Name of the kind. */
  readonly kind: string
  /** The instance; of one that an address makes: whose it is, and under which key (`default.near`). */
  readonly name: string
  /** Name of the type; undefined where it was made by code that did not say. */
  readonly type: string | undefined
  /** The address that makes it, without its secrets; undefined of an instance with a name of its own. */
  readonly address: string | undefined
  readonly parts: readonly PlannedPart[]
}

/** Something that a service is made of. */
export interface PlannedPart {
  /** The key that names it: `near`, `stores[1]`. */
  readonly key: string
  /** As in {@link ServicePlan}. */
  readonly kind: string
  readonly name: string
  /**
   * What it is made of. A word where that is not told here: `missing` when nothing of that name is there, `recursion`
   * when it is a service that it is a part of, `above` when it was told before, `deeper` below 64 others.
   */
  readonly plan: ServicePlan | 'missing' | 'recursion' | 'above' | 'deeper'
}

const MAX_DEPTH = 64

/**
 * What the instances that nobody else uses are made of, `root` and `default` first. Each instance is told once: of what is
 * shared on every level, there would be no end.
 */
export function plansOf(instances: readonly Instance[]): readonly ServicePlan[] {
  const byLabel = new Map(instances.map((instance) => [instance.label, instance]))
  const used = new Set(instances.flatMap(({ builder }) => [...labelsIn(builder)]))
  const isEntrypoint = ({ name }: Instance): boolean => ENTRYPOINTS.includes(name)
  const entrypoints = instances.filter(isEntrypoint)
  const others = instances.filter((instance) => !isEntrypoint(instance) && !used.has(instance.label))
  const told = new Set<string>()
  const roots = [...entrypoints, ...others].filter(({ label }) => !told.has(label))
  return roots.map((root) => {
    told.add(root.label)
    return planOf(root.builder, root.kind.name, root.name, undefined, [root.label])
  })

  function planOf(
    builder: Builder<unknown>,
    kindName: string,
    instance: string,
    address: string | undefined,
    above: readonly string[],
  ): ServicePlan {
    const parts = (builder.references ?? []).map(({ kind: of, key, value, builder: inner }): PlannedPart => {
      const target = parseReference(value)
      if (target.form === 'address') {
        const part = { key, kind: of.name, name: `${instance}.${key}` }
        if (inner === undefined) return { ...part, plan: 'missing' }
        return { ...part, plan: planOf(inner, of.name, part.name, redactAddress(value), above) }
      }
      const part = { key, kind: of.name, name: target.name }
      const label = `${of.name}:${target.name}`
      const found = byLabel.get(label)
      if (found === undefined) return { ...part, plan: 'missing' }
      if (above.includes(label)) return { ...part, plan: 'recursion' }
      if (told.has(label)) return { ...part, plan: 'above' }
      if (above.length === MAX_DEPTH) return { ...part, plan: 'deeper' }
      told.add(label)
      return { ...part, plan: planOf(found.builder, of.name, target.name, undefined, [...above, label]) }
    })
    return { kind: kindName, name: instance, type: builder.tag, address, parts }
  }
}

/** The labels of the instances that a builder names, also in addresses. */
function* labelsIn({ references = [] }: Builder<unknown>): Iterable<string> {
  for (const { kind, value, builder } of references) {
    if (builder !== undefined) yield* labelsIn(builder)
    const target = parseReference(value)
    if (target.form !== 'address') yield `${kind.name}:${target.name}`
  }
}
