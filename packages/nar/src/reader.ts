import { type ByteInput, ByteSource, showBytes } from '@neve/nix-compat/wire'
import { Archive, type NarReaderOptions } from './archive.js'
import { type NarNode, readNode } from './nar-directory.js'
import { NarError } from './nar-error.js'
import { NAR_TOKENS } from './tokens.js'

/**
 * Begins to read an archive (spec 09 section 5) and returns its root node. Nothing behind the archive is read: pass
 * a `ByteSource` to go on with what follows, or `assertEnd` to make sure that nothing does.
 *
 * All objects of the archive share its source, and only the one opened last and not read to its end may be used:
 * files and directories are finished before anything above them goes on. Breaking that rule is `misuse`; it and
 * every other error spoil the archive, and then each call on any of its objects is `misuse`. Malformed archives are
 * `invalid-data`, truncated ones `unexpected-eof`, both `NarError` with the offset in the archive; errors of the
 * source pass through. At most one name, one target and one chunk of the source are held, whatever the archive says.
 */
export async function openNar(input: ByteInput, options: NarReaderOptions = {}): Promise<NarNode> {
  const archive = new Archive(ByteSource.from(input), options)
  try {
    if (!archive.takeNow(NAR_TOKENS.magic)) {
      await archive.take('the archive\'s opening, "nix-archive-1" "(" "type"', NAR_TOKENS.magic)
    }
    return await readNode(archive, 0)
  } catch (error) {
    throw archive.poison(error)
  }
}

/**
 * Refuses bytes behind an archive (spec 09 section 4.4): for whoever owns the whole stream. `invalid-data` if
 * anything but the end follows.
 */
export async function assertEnd(source: ByteSource): Promise<void> {
  while (source.buffered === 0) if (!(await source.pull())) return
  source.window(Math.min(source.buffered, 16))
  throw new NarError('invalid-data', 'bytes after the archive', {
    offset: source.position,
    expected: 'end of stream',
    actual: showBytes(source.buffer.subarray(source.offset, source.offset + 16)),
  })
}
