import { B3Digest, type Node } from '@neve/castore-model'
import { StorePath } from '@neve/nix-compat'
import type { PathInfo } from '@neve/store-pathinfo'
import { MessageWriter } from './message-writer.js'
import { hex } from './support.js'

export const ZEROS = (length: number) => new Uint8Array(length)
export const DUMMY = StorePath.parse('00000000000000000000000000000000-dummy')
export const DIRECTORY: Node = { kind: 'directory', digest: B3Digest.from(ZEROS(32)), size: 0n }
export const NAR_SYMLINK = hex('097d397e9b5826384eaa16c457715d1c1a51670313ead0f58566e0b232539cf1')

export const WITHOUT_NARINFO =
  '0a4c0a4a0a2630303030303030303030303030303030303030303030303030303030303030302d64756d6d791220000000000000000000000000000000000000000000000000000000000000000012140000000000000000000000000000000000000000'
export const WITH_NARINFO_G1 = `${WITHOUT_NARINFO}1a4a12200000000000000000000000000000000000000000000000000000000000000000222630303030303030303030303030303030303030303030303030303030303030302d64756d6d79`
export const WITH_NARINFO = `${WITHOUT_NARINFO}1a6e12200000000000000000000000000000000000000000000000000000000000000000222630303030303030303030303030303030303030303030303030303030303030302d64756d6d79322212200000000000000000000000000000000000000000000000000000000000000000`
export const PATH_INFO_SYMLINK =
  '0a441a420a2630303030303030303030303030303030303030303030303030303030303030302d64756d6d7912182f6e69782f73746f72652f736f6d657768657265656c73651a250888011220097d397e9b5826384eaa16c457715d1c1a51670313ead0f58566e0b232539cf1'
export const NARINFO_HELLO =
  '08b8e90d122000c1c2c951471ff60e0a3d7a38d283482f4a945642b39d88d17c192af98bf07b1a550a1163616368652e6e69786f732e6f72672d311240f228c409c892173587c30195388558769d9f38838901f9b31873d0570a64b5f4d0245ea430f3c3adeed4b45c37a3e56a7a70b93fc46290a38001f37b0af3c402222d336e35387877343337336a70306c6a697266303664383037376a31357063346a2d676c6962632d322e33372d38222d7336366d7a7870766963776b3037676a626a667739697a6a66613739377673772d68656c6c6f2d322e31322e312a240a0c68656c6c6f2d322e31322e31121498c2b776c4d0abd5e6ee5b55cd41f8ec0ea8c78a'
export const NARINFO_TARBALL =
  '08c8893f12209022687ce0c3b96a2d21ead66a3e911aed738febb13b897e1a4b8729e6ba78d31a550a1163616368652e6e69786f732e6f72672d311240cb09c81badbd9d0650844afafc72c3acb4ff994129e49d4b0ba3665929494562ff9ccee8188b4941461618bbd81a1490bc7ae122ebcca6336604d87f596a820e2a2b0a1368656c6c6f2d322e31322e312e7461722e677a12140e530fba5ed5c4653488213053a7c08ad6bba36f3224080712208d99142afd92576f30b0cd7cb42a8dc6809998bc5d607d88761f512e26c7db20'

export const BASE: PathInfo = {
  storePath: DUMMY,
  node: DIRECTORY,
  references: [DUMMY],
  narSize: 0n,
  narSha256: ZEROS(32),
  signatures: [],
  deriver: undefined,
  ca: undefined,
}

/** A path info's message around the narinfo of a vector. */
export function around(narInfo: string, storePath: string, references: readonly string[]): Uint8Array {
  const symlink = new MessageWriter().text(1, storePath).text(2, 'target').finish()
  const message = new MessageWriter().bytes(1, new MessageWriter().bytes(3, symlink).finish())
  for (const reference of references) message.bytes(2, StorePath.parse(reference).digest)
  return message.bytes(3, hex(narInfo)).finish()
}

/** The parts of a message, each replaceable; undefined leaves one out. */
export interface Parts {
  node?: Uint8Array | undefined
  references?: Uint8Array[]
  names?: string[]
  narSha256?: Uint8Array
  signatures?: Uint8Array[]
  deriver?: Uint8Array
  ca?: Uint8Array
  narInfo?: boolean
}

export function directoryNode(name: string, digest = ZEROS(32)): Uint8Array {
  const entry = new MessageWriter().text(1, name).bytes(2, digest).finish()
  return new MessageWriter().bytes(1, entry, true).finish()
}

export const symlinkNode = (name: string | Uint8Array, target: string): Uint8Array => {
  const bytes = typeof name === 'string' ? Buffer.from(name) : name
  return new MessageWriter()
    .bytes(3, new MessageWriter().bytes(1, bytes).text(2, target).finish(), true)
    .finish()
}

export function build(parts: Parts): Uint8Array {
  const { references = [ZEROS(20)], names = [DUMMY.toString()], narSha256 = ZEROS(32) } = parts
  const message = new MessageWriter()
  const node = 'node' in parts ? parts.node : directoryNode(DUMMY.toString())
  if (node !== undefined) message.bytes(1, node, true)
  for (const reference of references) message.bytes(2, reference, true)
  if (parts.narInfo === false) return message.finish()
  const narInfo = new MessageWriter().bytes(2, narSha256)
  for (const signature of parts.signatures ?? []) narInfo.bytes(3, signature, true)
  for (const name of names) narInfo.text(4, name, true)
  if (parts.deriver !== undefined) narInfo.bytes(5, parts.deriver, true)
  if (parts.ca !== undefined) narInfo.bytes(6, parts.ca, true)
  return message.bytes(3, narInfo.finish(), true).finish()
}

export const signature = (length: number, name = 'key') =>
  new MessageWriter().text(1, name).bytes(2, ZEROS(length)).finish()
export const deriver = (name: string, length: number) =>
  new MessageWriter().text(1, name).bytes(2, ZEROS(length)).finish()
export const ca = (kind: bigint, length: number) =>
  new MessageWriter().number(1, kind).bytes(2, ZEROS(length)).finish()
