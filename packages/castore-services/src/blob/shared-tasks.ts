import type { Slot } from '../concurrency/slot-threads.js'
import type { ContentResult } from './content-tasks.js'

/** How many results are kept that nobody holds: so far behind the first one of a group the others may be. */
const KEPT = 16

/** A result in a slot, for all who hold it; none of them may change it. */
export interface SharedTask {
  readonly key: string
  readonly slot: Slot
  readonly result: Promise<ContentResult>
}

interface Task extends SharedTask {
  holders: number
  failed: boolean
}

/** Who works on the same thing at the same time, and what they have. */
interface Group {
  members: number
  readonly tasks: Map<string, Task>
}

/**
 * Lets those who work on the same thing at the same time share the results of tasks: the first one has a task run, and
 * the others, if they are not far behind, find what came of it. Who works on something alone has each slot back at once.
 */
export class SharedTasks {
  readonly #slots: { takeSlot(): Slot; giveSlot(slot: Slot): void }
  readonly #groups = new Map<string, Group>()
  /** Held by nobody, with their groups; the one that was given back first is in front. */
  readonly #kept = new Map<Task, Group>()

  constructor(slots: { takeSlot(): Slot; giveSlot(slot: Slot): void }) {
    this.#slots = slots
  }

  /** @param name the same for all who work on the same thing */
  join(name: string): TaskGroup {
    const group: Group = this.#groups.get(name) ?? { members: 0, tasks: new Map() }
    this.#groups.set(name, group)
    group.members++
    return {
      take: (key, run) => this.#take(group, key, run),
      give: (task) => this.#give(group, task as Task),
      leave: () => this.#leave(group, name),
    }
  }

  #take(group: Group, key: string, run: (slot: Slot) => ContentResult | Promise<ContentResult>): SharedTask {
    const found = group.tasks.get(key)
    if (found !== undefined) {
      found.holders++
      this.#kept.delete(found)
      return found
    }
    const slot = this.#slots.takeSlot()
    // What it throws is the result, too.
    const result = (async () => run(slot))()
    const task: Task = { key, slot, result, holders: 1, failed: false }
    group.tasks.set(key, task)
    const fail = () => {
      task.failed = true
      // Who asks after this tries again.
      if (group.tasks.get(key) === task) group.tasks.delete(key)
    }
    result.then(({ failure }) => failure !== undefined && fail(), fail)
    return task
  }

  #give(group: Group, task: Task): void {
    task.holders--
    if (task.holders > 0) return
    if (task.failed || group.members < 2) {
      this.#drop(group, task)
      return
    }
    this.#kept.set(task, group)
    if (this.#kept.size <= KEPT) return
    const [oldest, its] = this.#kept.entries().next().value!
    this.#kept.delete(oldest)
    this.#drop(its, oldest)
  }

  #leave(group: Group, name: string): void {
    group.members--
    if (group.members > 0) return
    this.#groups.delete(name)
    for (const task of group.tasks.values()) {
      if (this.#kept.delete(task)) this.#drop(group, task)
    }
  }

  #drop(group: Group, task: Task): void {
    if (group.tasks.get(task.key) === task) group.tasks.delete(task.key)
    this.#slots.giveSlot(task.slot)
  }
}

/** One who works with others on the same thing. */
export interface TaskGroup {
  /**
   * The result of a task that all of the group mean by `key`, to be given back.
   *
   * @param run runs the task in the slot, if nobody has done that
   */
  take(key: string, run: (slot: Slot) => ContentResult | Promise<ContentResult>): SharedTask
  give(task: SharedTask): void
  /** To be called once, when everything has been given back. */
  leave(): void
}
