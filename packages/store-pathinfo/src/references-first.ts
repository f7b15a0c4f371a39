import type { StorePath } from '@neve/nix-compat'
import { StoreError } from './errors.js'
import type { PathInfo } from './path-info.js'

/** What has references that may be among others of its kind. */
type Referring = Pick<PathInfo, 'storePath' | 'references'>

/**
 * The same in the order in which they can be put: references before what references them, as far as they are among
 * them; else as they came.
 *
 * @param fault the code of the error for a cycle: whether it is in what was given, or in what is stored
 * @throws StoreError when references form a cycle; what mentions only its own path is none
 */
export function referencesFirst<T extends Referring>(
  infos: Iterable<T>,
  fault: 'invalid-input' | 'data-loss',
): T[] {
  const known = new Map<string, T>()
  for (const info of infos) known.set(info.storePath.toString(), info)
  const ordered: T[] = []
  const state = new Map<string, 'open' | 'done'>()
  const open: { readonly info: T; readonly references: Iterator<StorePath> }[] = []
  const enter = (key: string): void => {
    const info = known.get(key)
    if (info === undefined || state.get(key) === 'done') return
    if (state.get(key) === 'open') throw cycle(open.map((one) => one.info).concat(info), fault)
    state.set(key, 'open')
    open.push({ info, references: info.references.values() })
  }
  for (const key of known.keys()) {
    enter(key)
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const reference = top.references.next()
      if (reference.done === true) {
        state.set(top.info.storePath.toString(), 'done')
        ordered.push(top.info)
        open.pop()
      } else if (!reference.value.equals(top.info.storePath)) enter(reference.value.toString())
    }
  }
  return ordered
}

function cycle(way: readonly Referring[], fault: 'invalid-input' | 'data-loss'): StoreError {
  const last = way.at(-1)!
  const round = way.slice(way.findIndex((info) => info.storePath.equals(last.storePath)))
  const shown = round.slice(0, 5).map(({ storePath }) => storePath.toString())
  const more = round.length > shown.length ? ' → …' : ''
  return new StoreError(fault, `references form a cycle: ${shown.join(' → ')}${more}`)
}
