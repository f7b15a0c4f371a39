import { WireEncoder } from '@neve/nix-compat/wire'

/**
 * The constant strings of an archive, encoded and joined as they occur (spec 09 section 4.2). An archive is
 * `magic`, then a node: `symlink`, `regular` or `executable` with a `bytes` value, then `close`; or `directory`,
 * entries, `close`. An entry is `entry`, the name as a `bytes` value, `node`, the node, `close`.
 *
 * Shared constants: do not write to them.
 */
export const NAR_TOKENS = {
  magic: token('nix-archive-1', '(', 'type'),
  symlink: token('symlink', 'target'),
  regular: token('regular', 'contents'),
  executable: token('regular', 'executable', '', 'contents'),
  directory: token('directory'),
  entry: token('entry', '(', 'name'),
  node: token('node', '(', 'type'),
  close: token(')'),
} as const

function token(...strings: string[]): Uint8Array {
  const encoder = new WireEncoder()
  for (const text of strings) encoder.string(text)
  return encoder.finish()
}
