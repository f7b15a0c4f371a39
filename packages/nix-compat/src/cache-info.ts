import { NarInfoError } from './narinfo-error.js'
import { STORE_DIR } from './store-path.js'

/** What a binary cache says about itself, in its file `nix-cache-info` (spec 09 section 12.5). */
export interface CacheInfo {
  /** Whether it may be asked about many store paths at once. */
  readonly wantMassQuery?: boolean | undefined
  /** Where it stands among others: the lower, the earlier it is asked. */
  readonly priority?: number | undefined
}

/** The longest `nix-cache-info` to read, in characters. */
const MAX_LENGTH = 64 * 1024

/** The text of `nix-cache-info`. */
export function formatCacheInfo({ wantMassQuery, priority }: CacheInfo): string {
  const lines = [`StoreDir: ${STORE_DIR}`]
  if (wantMassQuery !== undefined) lines.push(`WantMassQuery: ${wantMassQuery ? 1 : 0}`)
  if (priority !== undefined) lines.push(`Priority: ${priority}`)
  return `${lines.join('\n')}\n`
}

/**
 * Reads `nix-cache-info`; keys that mean nothing here are passed over, as Nix does.
 *
 * @throws NarInfoError, also for a cache of another store directory
 */
export function parseCacheInfo(text: string): CacheInfo {
  if (text.length > MAX_LENGTH) {
    throw new NarInfoError('too-long', `expected at most ${MAX_LENGTH} characters, got ${text.length}`)
  }
  const values = new Map<string, string>()
  for (const [at, line] of text.split('\n').entries()) {
    if (line === '') continue
    const parts = /^([^:]+):\s*(.*?)\s*$/.exec(line)
    if (parts === null) throw new NarInfoError('invalid-line', "expected 'Key: value'", { line: at + 1 })
    values.set(parts[1]!, parts[2]!)
  }
  const storeDir = values.get('StoreDir')
  if (storeDir !== undefined && storeDir !== STORE_DIR) {
    const detail = `expected ${STORE_DIR}, got ${JSON.stringify(storeDir.slice(0, 200))}`
    throw new NarInfoError('invalid-field', detail, { field: 'StoreDir' })
  }
  const mass = values.get('WantMassQuery')
  if (mass !== undefined && mass !== '0' && mass !== '1') throw invalid('WantMassQuery', '0 or 1')
  const priority = values.get('Priority')
  if (priority !== undefined && !/^-?[0-9]{1,9}$/.test(priority)) throw invalid('Priority', 'a whole number')
  return {
    wantMassQuery: mass === undefined ? undefined : mass === '1',
    priority: priority === undefined ? undefined : Number(priority),
  }
}

function invalid(field: string, expected: string): NarInfoError {
  return new NarInfoError('invalid-field', `expected ${expected}`, { field })
}
