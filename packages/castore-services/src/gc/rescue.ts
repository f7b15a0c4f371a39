import { setTimeout as sleep } from 'node:timers/promises'
import type { B3Digest, Node } from '@neve/castore-model'
import type { EmbeddedStore, StoredKey } from '@neve/embedded-store'
import type { CallOptions } from '../call-options.js'
import { eachChild } from './directory-children.js'

/** How long a garbage collection is waited for, in milliseconds, and how often it is asked for. */
const PATIENCE = 30_000
const RETRY = 50
const DIGEST = 32
const LIST_ENTRY = 36

/**
 * Takes back that a node and everything below it is garbage. Who reads it, elsewhere perhaps, may be about to store
 * something that leans on it.
 *
 * @returns false when it was not possible, because garbage is being collected: then nothing may lean on it
 */
export async function rescue(
  engine: EmbeddedStore,
  node: Pick<Node & { kind: 'directory' | 'file' }, 'kind' | 'digest'>,
  { signal }: CallOptions = {},
): Promise<boolean> {
  for (const until = performance.now() + PATIENCE; ; await sleep(RETRY)) {
    signal?.throwIfAborted()
    engine.refresh()
    // Whoever sweeps lifts what something leans on, too.
    if (isThere(engine, node)) return true
    if (await engine.lift(condemnedBelow(engine, node.kind, node.digest.bytes))) return isThere(engine, node)
    if (performance.now() > until) return false
  }
}

/** Whether all of it is still there: it may have been removed while it was waited for. */
function isThere(
  engine: EmbeddedStore,
  { kind, digest }: { readonly kind: 'directory' | 'file'; readonly digest: B3Digest },
): boolean {
  engine.refresh()
  const { bytes } = digest
  return kind === 'directory'
    ? engine.keeps('directories', bytes)
    : engine.keeps('content', bytes) || engine.keeps('blobs', bytes)
}

/** What is condemned of a node and below it, as far as one condemned thing refers to the next. */
function* condemnedBelow(
  engine: EmbeddedStore,
  kind: 'directory' | 'file',
  root: Uint8Array,
): Generator<StoredKey, void, undefined> {
  const seen = new Set<string>()
  const open = [{ kind, digest: root }]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { digest } = next
    const name = next.kind + Buffer.from(digest).toString('hex')
    if (seen.has(name)) continue
    seen.add(name)
    if (next.kind === 'directory') {
      const encoded = engine.get('directories', digest)
      if (encoded === undefined || !engine.isCondemned('directories', digest)) continue
      yield { what: 'directories', key: digest }
      eachChild(encoded, (child, at) => open.push({ kind: child, digest: encoded.slice(at, at + DIGEST) }))
      continue
    }
    if (engine.isCondemned('content', digest)) yield { what: 'content', key: digest }
    const list = engine.get('blobs', digest)
    if (list === undefined || !engine.isCondemned('blobs', digest)) continue
    yield { what: 'blobs', key: digest }
    for (let at = 0; at + LIST_ENTRY <= list.length; at += LIST_ENTRY) {
      const chunk = list.slice(at, at + DIGEST)
      if (engine.isCondemned('content', chunk)) yield { what: 'content', key: chunk }
    }
  }
}
