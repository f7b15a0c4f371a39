import { setTimeout as sleep } from 'node:timers/promises'
import type { CallOptions } from '../call-options.js'
import { abortable } from '../concurrency/abortable.js'
import { type CompositionInit, defaultDelay, type InstanceSummary } from './composition-init.js'
import {
  CloseFailedError,
  CompositionError,
  ConfigError,
  ConstructionFailedError,
  InstanceNotFoundError,
  isTransient,
  RecursionError,
} from './errors.js'
import { closeInOrder, describeSteps, Instance, type Step, waitPath } from './instance.js'
import type { Kind } from './kind.js'
import { plansOf, type ServicePlan } from './plan.js'
import { checkInstanceName, isInstanceName, parseReference } from './reference.js'
import { resolveSecret } from './secret.js'
import type { BuildContext, Builder } from './service-type.js'
import { ENTRYPOINTS, findProblems, type Problem, type ValidateOptions } from './validation.js'

/**
 * Named instances of services, built when they are first asked for, once each, and closed together (spec 04 section 4).
 *
 * An instance is built by the composition, not by who asks: a caller that gives up ends neither the build nor the
 * others that wait for it.
 */
export class Composition implements AsyncDisposable {
  readonly #init: CompositionInit
  readonly #instances = new Map<string, Map<string, Instance>>()
  /** Those without a name, and those that were replaced, as long as there is something to close. */
  readonly #unnamed = new Set<Instance>()
  readonly #running = new Set<Promise<unknown>>()
  readonly #ending = new AbortController()
  #closing: Promise<void> | undefined

  constructor(init: CompositionInit) {
    this.#init = init
  }

  /**
   * Adds instances. Nothing is built.
   *
   * @param builders by name; names have letters, digits and `. _ -`
   * @param options `override`: take the place of instances that are not built. Default: false
   * @throws CompositionError `duplicate`, `in-use`, `invalid-config`, `closed`; then none was added
   */
  extend<S>(
    kind: Kind<S>,
    builders: Readonly<Record<string, Builder<S>>> | ReadonlyMap<string, Builder<S>>,
    options: { readonly override?: boolean } = {},
  ): void {
    this.#checkOpen()
    const entries = builders instanceof Map ? [...builders] : Object.entries(builders)
    const named = this.#named(kind)
    for (const [name] of entries as [string, Builder<S>][]) {
      checkInstanceName(name)
      const present = named.get(name)
      if (present === undefined) continue
      if (options.override !== true) {
        throw new CompositionError('duplicate', `there is an instance ${present.label} already`)
      }
      if (present.state === 'building' || present.state === 'built') {
        throw new CompositionError(
          'in-use',
          `instance ${present.label} is ${present.state}, it cannot be replaced`,
        )
      }
    }
    for (const [name, builder] of entries as [string, Builder<S>][]) {
      const present = named.get(name)
      if (present !== undefined) this.#forgetFailures(present)
      named.set(name, new Instance(kind, name, builder))
    }
  }

  /**
   * The service of a name, built if it was not before. Everybody gets the same object.
   *
   * @throws CompositionError `not-found`, `recursion`, `failed`, `closed`
   */
  async build<S>(kind: Kind<S>, name: string, { signal }: CallOptions = {}): Promise<S> {
    signal?.throwIfAborted()
    if (!isInstanceName(name)) throw new InstanceNotFoundError(kind.name, name, [])
    return abortable(this.#resolve(undefined, [], kind, name, undefined), signal)
  }

  /**
   * The service that a reference stands for: `name`, `&name`, or an address, which makes a new instance every time.
   *
   * @throws CompositionError as {@link build}, and `invalid-config`, `unknown-type`
   */
  async open<S>(kind: Kind<S>, reference: string, { signal }: CallOptions = {}): Promise<S> {
    signal?.throwIfAborted()
    return abortable(this.#resolve(undefined, [], kind, reference, undefined), signal)
  }

  /**
   * What is wrong with the references: those that lead nowhere, circles, and instances that nobody needs. Nothing is
   * built.
   */
  validate(options: ValidateOptions = {}): readonly Problem[] {
    return findProblems(this.#all(), options)
  }

  /**
   * What would be made: of the instances that nobody else uses, `root` and `default` first, each with all that it is made
   * of. Nothing is built.
   */
  plans(): readonly ServicePlan[] {
    return plansOf(this.#all())
  }

  /**
   * Where to begin with a kind where nobody says: `root`, as newer Snix has it, else `default`.
   *
   * @returns undefined when there is neither
   */
  entrypoint(kind: Kind<unknown>): string | undefined {
    const named = this.#instances.get(kind.name)
    return ENTRYPOINTS.find((name) => named?.has(name))
  }

  /** The instances that have names, by kind and in the order in which they came. */
  instances(): readonly InstanceSummary[] {
    return this.#all().map(({ kind, name, builder, state }) => ({
      kind: kind.name,
      name,
      type: builder.tag,
      state,
    }))
  }

  /**
   * Forgets that an instance failed, as well as the failures that led to it and came of it: the next one who asks has
   * them built anew.
   *
   * @throws CompositionError `not-found`; `in-use` when the instance is built or being built
   */
  reset(kind: Kind<unknown>, name: string): void {
    const instance = this.#instances.get(kind.name)?.get(name)
    if (instance === undefined) throw new InstanceNotFoundError(kind.name, name, [])
    if (instance.state === 'building' || instance.state === 'built') {
      throw new CompositionError(
        'in-use',
        `instance ${instance.label} is ${instance.state}, it cannot be reset`,
      )
    }
    this.#forgetFailures(instance)
  }

  /**
   * Closes every service that was built, each before those that it was built of. Builds that run are ended first.
   * Calling it again does nothing.
   *
   * @throws CloseFailedError after everything was tried
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    this.#ending.abort(new CompositionError('closed', 'the composition is already closed'))
    while (this.#running.size > 0) await Promise.allSettled(this.#running)
    const errors = await closeInOrder([...this.#all(), ...this.#unnamed])
    this.#unnamed.clear()
    if (errors.length > 0) throw new CloseFailedError(errors)
  }

  async #resolve<S>(
    owner: Instance | undefined,
    stack: readonly Step[],
    kind: Kind<S>,
    reference: string,
    key: string | undefined,
  ): Promise<S> {
    this.#checkOpen()
    const target = this.#find(owner, stack, kind, reference, key)
    const steps = [...stack, { instance: target, key }]
    if (stack.some(({ instance }) => instance === target)) {
      throw new RecursionError(
        stack.map(({ instance }) => instance.name),
        describeSteps(steps),
      )
    }
    if (owner?.state !== 'building') return (await this.#ensure(target, steps)) as S
    const circle = waitPath(target, owner)
    if (circle !== undefined) {
      const around: Step[] = [{ instance: target, key: undefined }, ...circle]
      throw new RecursionError(
        around.map(({ instance }) => instance.name),
        describeSteps([...around, { instance: target, key }]),
      )
    }
    owner.waitsFor.set(target, key)
    owner.uses.add(target)
    try {
      return (await this.#ensure(target, steps)) as S
    } finally {
      owner.waitsFor.delete(target)
    }
  }

  #find<S>(
    owner: Instance | undefined,
    stack: readonly Step[],
    kind: Kind<S>,
    reference: string,
    key: string | undefined,
  ): Instance {
    const parsed = parseReference(reference)
    if (parsed.form !== 'address') {
      const found = this.#instances.get(kind.name)?.get(parsed.name)
      if (found !== undefined) return found
      const path = [
        ...describeSteps(stack),
        ...(key === undefined ? [] : [key]),
        `${kind.name}:${parsed.name}`,
      ]
      throw new InstanceNotFoundError(kind.name, parsed.name, path)
    }
    const declared = owner?.builder.references?.find(
      (candidate) =>
        candidate.key === key && candidate.value === reference && candidate.kind.name === kind.name,
    )
    const builder = declared?.builder ?? this.#init.registry.fromUrl(kind, reference)
    const name = owner === undefined ? 'anonymous' : `${owner.name}.${key ?? 'anonymous'}`
    const instance = new Instance(kind as Kind<unknown>, name, builder)
    owner?.anonymous.push(instance)
    this.#unnamed.add(instance)
    return instance
  }

  #ensure(instance: Instance, steps: readonly Step[]): Promise<unknown> {
    if (instance.outcome === undefined) {
      instance.state = 'building'
      const outcome = this.#construct(instance, steps)
      instance.outcome = outcome
      const settled = outcome.then(
        () => {},
        () => {},
      )
      this.#running.add(settled)
      void settled.then(() => this.#running.delete(settled))
    }
    return instance.outcome
  }

  async #construct(instance: Instance, steps: readonly Step[]): Promise<unknown> {
    const { attempts = 1, delay = defaultDelay, isTransient: mayPass = isTransient } = this.#init.retry ?? {}
    for (let attempt = 1; ; attempt += 1) {
      try {
        // A step later, so that a builder that throws at once finds its instance as it is.
        await undefined
        instance.service = await instance.builder.build(instance.name, this.#context(instance, steps))
        this.#checkOpen()
        instance.state = 'built'
        return instance.service
      } catch (cause) {
        const failure = this.#failure(instance, steps, cause)
        await this.#dispose(instance)
        const transient = mayPass(failure)
        const isOwn = failure instanceof ConstructionFailedError && failure.cause === cause
        if (transient && isOwn && attempt < attempts && !this.#ending.signal.aborted) {
          await sleep(delay(attempt), undefined, { signal: this.#ending.signal }).catch(() => {})
          continue
        }
        instance.state = 'failed'
        this.#unnamed.delete(instance)
        if (transient || failure.code === 'closed') instance.forget()
        throw failure
      }
    }
  }

  #failure(instance: Instance, steps: readonly Step[], cause: unknown): CompositionError {
    if (this.#ending.signal.aborted && cause === this.#ending.signal.reason) return cause as CompositionError
    // What another instance failed with is passed on as it is; configuration and secrets are this one's own.
    if (cause instanceof CompositionError && !(cause instanceof ConfigError) && cause.code !== 'secret')
      return cause
    return new ConstructionFailedError(instance.kind.name, instance.name, describeSteps(steps), { cause })
  }

  /** Closes what a build that failed has left. */
  async #dispose(instance: Instance): Promise<void> {
    const nameless = namelessBelow(instance)
    instance.anonymous.length = 0
    await Promise.allSettled(nameless.map(({ outcome }) => outcome))
    await closeInOrder([instance, ...nameless])
    for (const child of nameless) this.#unnamed.delete(child)
  }

  #context(instance: Instance, steps: readonly Step[]): BuildContext {
    const resolve = <S>(kind: Kind<S>, reference: string, key?: string): Promise<S> =>
      this.#resolve(instance, steps, kind, reference, key)
    return {
      instanceName: instance.name,
      signal: this.#ending.signal,
      resolve,
      resolveAll: async <S, K extends string>(kind: Kind<S>, references: Readonly<Record<K, string>>) => {
        const keys = Object.keys(references) as K[]
        const outcomes = await Promise.allSettled(keys.map((key) => resolve(kind, references[key], key)))
        const entries = outcomes.map((outcome, index) => {
          if (outcome.status === 'rejected') throw outcome.reason
          return [keys[index]!, outcome.value] as const
        })
        return Object.fromEntries(entries) as Record<K, S>
      },
      secret: (text) => resolveSecret(text, this.#init.environment ?? process.env),
      onClose: (close) => instance.onClose(close),
      report: ({ store, error }) =>
        this.#init.onTrouble?.({ kind: instance.kind.name, instance: instance.name, store, error }),
    }
  }

  /** Forgets the failure of an instance, of those that it failed because of, and of those that failed because of it. */
  #forgetFailures(instance: Instance): void {
    const failed = new Set<Instance>()
    const collect = (next: Instance): void => {
      if (next.state !== 'failed' || failed.has(next)) return
      failed.add(next)
      for (const used of next.uses) collect(used)
      for (const user of this.#all()) if (user.uses.has(next)) collect(user)
    }
    collect(instance)
    for (const next of failed) next.forget()
  }

  #all(): Instance[] {
    return [...this.#instances.values()].flatMap((named) => [...named.values()])
  }

  #named(kind: Kind<unknown>): Map<string, Instance> {
    let named = this.#instances.get(kind.name)
    if (named === undefined) {
      named = new Map()
      this.#instances.set(kind.name, named)
    }
    return named
  }

  #checkOpen(): void {
    this.#ending.signal.throwIfAborted()
  }
}

/** Those that nobody else can name, at any depth. */
function namelessBelow({ anonymous }: Instance): readonly Instance[] {
  return anonymous.flatMap((child) => [child, ...namelessBelow(child)])
}
