import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

/** The NAR of a path of the host, written from the format's description alone: it shares no code with the packages. */
export function plainNar(path: string): Buffer {
  return Buffer.concat([text('nix-archive-1'), ...node(path)])
}

/** The store path of a NAR without references. */
export function plainStorePath(nar: Buffer, name: string): string {
  const inner = createHash('sha256').update(nar).digest('hex')
  const outer = createHash('sha256').update(`source:sha256:${inner}:/nix/store:${name}`).digest()
  const folded = Buffer.alloc(20)
  outer.forEach((byte, index) => {
    folded[index % 20]! ^= byte
  })
  return `/nix/store/${base32(folded)}-${name}`
}

function node(path: string): Buffer[] {
  const stat = lstatSync(path)
  if (stat.isSymbolicLink())
    return frame(text('type'), text('symlink'), text('target'), text(readlinkSync(path)))
  if (stat.isFile()) {
    const executable = (stat.mode & 0o100) === 0 ? [] : [text('executable'), text('')]
    return frame(text('type'), text('regular'), ...executable, text('contents'), padded(readFileSync(path)))
  }
  const names = readdirSync(path).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  const entries = names.flatMap((name) => [
    text('entry'),
    ...frame(text('name'), text(name), text('node'), ...node(join(path, name))),
  ])
  return frame(text('type'), text('directory'), ...entries)
}

function frame(...parts: Buffer[]): Buffer[] {
  return [text('('), ...parts, text(')')]
}

function text(value: string): Buffer {
  return padded(Buffer.from(value))
}

function padded(content: Buffer): Buffer {
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(content.length))
  return Buffer.concat([length, content, Buffer.alloc((8 - (content.length % 8)) % 8)])
}

/** 20 bytes as one number, its least significant 5 bits last. */
function base32(bytes: Buffer): string {
  let number = BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
  let out = ''
  for (let index = 0; index < 32; index++) {
    out = '0123456789abcdfghijklmnpqrsvwxyz'[Number(number & 31n)] + out
    number >>= 5n
  }
  return out
}
