import { InstanceNotFoundError } from './errors.js'
import type { Instance } from './instance.js'
import type { Kind } from './kind.js'
import { redactAddress } from './redact.js'
import { parseReference } from './reference.js'
import type { Builder } from './service-type.js'

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
  /** What it is made of; where nothing of that name is there, or it is the service that it is a part of, a word that says so. */
  readonly plan: ServicePlan | 'missing' | 'recursion'
}

/** @throws InstanceNotFoundError */
export function planOf(instances: readonly Instance[], kind: Kind<unknown>, name: string): ServicePlan {
  const byLabel = new Map(instances.map((instance) => [instance.label, instance]))
  const root = byLabel.get(`${kind.name}:${name}`)
  if (root === undefined) throw new InstanceNotFoundError(kind.name, name, [])
  return plan(root.builder, root.kind.name, root.name, undefined, new Set([root.label]))

  function plan(
    builder: Builder<unknown>,
    kindName: string,
    instance: string,
    address: string | undefined,
    above: ReadonlySet<string>,
  ): ServicePlan {
    const parts = (builder.references ?? []).map(({ kind: of, key, value, builder: inner }): PlannedPart => {
      const target = parseReference(value)
      if (target.form === 'address') {
        const part = { key, kind: of.name, name: `${instance}.${key}` }
        if (inner === undefined) return { ...part, plan: 'missing' }
        return { ...part, plan: plan(inner, of.name, part.name, redactAddress(value), above) }
      }
      const part = { key, kind: of.name, name: target.name }
      const label = `${of.name}:${target.name}`
      if (above.has(label)) return { ...part, plan: 'recursion' }
      const found = byLabel.get(label)
      if (found === undefined) return { ...part, plan: 'missing' }
      return {
        ...part,
        plan: plan(found.builder, of.name, target.name, undefined, new Set([...above, label])),
      }
    })
    return { kind: kindName, name: instance, type: builder.tag, address, parts }
  }
}
