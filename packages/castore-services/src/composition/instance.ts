import type { Kind } from './kind.js'
import type { Builder } from './service-type.js'

/** How far an instance is: only what was asked for is built (spec 04 section 4.1). */
export type InstanceState = 'unbuilt' | 'building' | 'built' | 'failed'

type Close = () => Promise<void> | void

/** One instance of a composition, and what became of it. */
export class Instance {
  readonly kind: Kind<unknown>
  readonly name: string
  readonly builder: Builder<unknown>
  state: InstanceState = 'unbuilt'
  /** Settles as the build does; there while building and afterwards. */
  outcome: Promise<unknown> | undefined
  service: unknown
  /** The instances that it waits for now, with the key under which each was asked for. */
  readonly waitsFor = new Map<Instance, string | undefined>()
  /** The instances that it was built of, and those whose failure it failed with. */
  readonly uses = new Set<Instance>()
  /** Those of {@link uses} that nobody else can name. */
  readonly anonymous: Instance[] = []
  readonly #closers: Close[] = []

  constructor(kind: Kind<unknown>, name: string, builder: Builder<unknown>) {
    this.kind = kind
    this.name = name
    this.builder = builder
  }

  /** The name with its kind: `blob:default`. */
  get label(): string {
    return `${this.kind.name}:${this.name}`
  }

  onClose(close: Close): void {
    this.#closers.push(close)
  }

  /** Forgets the outcome: the next one who asks builds it anew. */
  forget(): void {
    this.state = 'unbuilt'
    this.outcome = undefined
    this.service = undefined
    this.uses.clear()
    this.anonymous.length = 0
  }

  /**
   * Closes the service and what was opened for it.
   *
   * @returns what failed; everything was tried
   */
  async close(): Promise<unknown[]> {
    const errors: unknown[] = []
    const attempt = async (close: Close): Promise<void> => {
      try {
        await close()
      } catch (error) {
        errors.push(error)
      }
    }
    const { service } = this
    this.service = undefined
    if (service !== undefined) await attempt(() => this.kind.close(service))
    for (let close = this.#closers.pop(); close !== undefined; close = this.#closers.pop())
      await attempt(close)
    return errors
  }
}

/** An instance on the way to another one, with the key under which it was asked for. */
export interface Step {
  readonly instance: Instance
  readonly key: string | undefined
}

/** The way as messages show it: `blob:default`, `far`, `blob:upstream`. */
export function describeSteps(steps: readonly Step[]): string[] {
  return steps.flatMap(({ instance, key }) => (key === undefined ? [instance.label] : [key, instance.label]))
}

/**
 * How `from` waits for `to`, if it does: neither would ever be built if `to` waited for `from` as well (spec 04 section
 * 10, W1).
 *
 * @returns the steps after `from`, the last one being `to`
 */
export function waitPath(from: Instance, to: Instance): readonly Step[] | undefined {
  const seen = new Set<Instance>([from])
  const open: { readonly instance: Instance; readonly steps: readonly Step[] }[] = [
    { instance: from, steps: [] },
  ]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const [instance, key] of next.instance.waitsFor) {
      const steps = [...next.steps, { instance, key }]
      if (instance === to) return steps
      if (seen.has(instance)) continue
      seen.add(instance)
      open.push({ instance, steps })
    }
  }
  return undefined
}

/** Closes instances, each one after those that use it; what does not depend on each other at once. */
export async function closeInOrder(instances: readonly Instance[]): Promise<unknown[]> {
  const users = new Map<Instance, Instance[]>()
  for (const user of instances) {
    for (const used of user.uses) users.set(used, [...(users.get(used) ?? []), user])
  }
  const errors: unknown[] = []
  const closing = new Map<Instance, Promise<void>>()
  const close = (instance: Instance): Promise<void> => {
    let promise = closing.get(instance)
    if (promise === undefined) {
      promise = Promise.all((users.get(instance) ?? []).map(close)).then(async () => {
        errors.push(...(await instance.close()))
      })
      closing.set(instance, promise)
    }
    return promise
  }
  await Promise.all(instances.map(close))
  return errors
}
