import { type ChildProcessWithoutNullStreams, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Directory, Node } from '@neve/castore-model'
import { onTestFinished } from 'vitest'

const SERVER = fileURLToPath(new URL('fixture-server.mjs', import.meta.url))
const PROBE = fileURLToPath(new URL('probe.py', import.meta.url))
/** No test waits longer for a mount: a reader that hangs is a failure, not a hanging test. */
const PATIENCE = 60_000
/** Whoever has no rights. */
const NOBODY = 65534

/** Who mounts, and looks at the mount. */
export interface User {
  readonly name: string
  readonly uid: number
}

/** What is mounted. */
export interface MountSpec {
  readonly roots?: Readonly<Record<string, Node>>
  readonly blobs?: readonly Uint8Array[]
  readonly directories?: readonly Directory[]
  readonly listRoot?: boolean
  readonly showXattr?: boolean
  readonly xattrPrefixes?: readonly string[]
  /** Reads that go beyond this offset fail. */
  readonly damagedFrom?: number
  /** Many empty files in the root; or in the directory `wide`; or so many directories of 99 of them, in `tree`. */
  readonly generatedRoots?: number
  readonly generatedDirectory?: number
  readonly generatedTree?: number
}

/** What an operation gave, or the name of the error number that it failed with. */
export type Outcome = { readonly value?: unknown; readonly error?: string }

/** What the server tells of itself. */
export interface ServerStats {
  /** What the kernel knows: nodes, and directories that were looked into. */
  readonly nodes: number
  readonly folders: number
  readonly handles: number
  readonly listingsClosed: number
  /** Calls of the services. */
  readonly reads: number
  readonly lookups: number
  readonly troubles: readonly string[]
  readonly faults: readonly string[]
}

const isRoot = process.getuid?.() === 0

/** Why nothing can be mounted here, if so. */
const obstacle =
  spawnSync('test', ['-r', '/dev/fuse', '-a', '-w', '/dev/fuse']).status !== 0
    ? '/dev/fuse is missing'
    : ['fusermount3', 'python3'].find((program) => spawnSync(program, ['--version']).status !== 0)
if (obstacle !== undefined && process.env['NEVE_TEST_REQUIRE'] === 'all') throw new Error(obstacle)

export const cannotMount = obstacle !== undefined

/** Why an ordinary user cannot mount where root can, if so: the helper opens the device as its caller. */
export const ordinaryObstacle =
  isRoot && !cannotMount && (statSync('/dev/fuse').mode & 0o006) !== 0o006
    ? '/dev/fuse is for root only (chmod 0666 /dev/fuse)'
    : undefined
if (ordinaryObstacle !== undefined && process.env['NEVE_TEST_REQUIRE'] === 'all') {
  throw new Error(ordinaryObstacle)
}

/** Root, where the tests run as root, and somebody who is not. */
export const users: readonly User[] = isRoot
  ? [
      { name: 'root', uid: 0 },
      ...(ordinaryObstacle === undefined ? [{ name: 'an ordinary user', uid: NOBODY }] : []),
    ]
  : [{ name: 'an ordinary user', uid: process.getuid?.() ?? NOBODY }]

/** A mount of fixtures by a process of its own, unmounted when the test ends, however it ends. */
export class FixtureMount {
  readonly path: string
  readonly server: ChildProcessWithoutNullStreams
  /** Settles with the exit code of the server. */
  readonly exited: Promise<number | null>
  readonly #user: User
  readonly #lines: AsyncIterator<string>

  private constructor(path: string, user: User, server: ChildProcessWithoutNullStreams) {
    this.path = path
    this.server = server
    this.#user = user
    this.exited = once(server, 'exit').then(([code]) => code as number | null)
    this.#lines = createInterface({ input: server.stdout })[Symbol.asyncIterator]()
  }

  /** @param left a mount whose server is gone, to be taken away first */
  static async open(user: User, spec: MountSpec, left?: FixtureMount): Promise<FixtureMount> {
    const folder = mkdtempSync(join(tmpdir(), 'neve-fuse-'))
    const path = left?.path ?? join(folder, 'mount')
    if (left === undefined) mkdirSync(path)
    const description = join(folder, 'spec.json')
    writeFileSync(description, JSON.stringify({ ...described(spec), forceUnmountStale: left !== undefined }))
    if (isRoot)
      for (const owned of [folder, description, ...(left === undefined ? [path] : [])])
        chownSync(owned, user.uid, user.uid)
    const server = spawn(process.execPath, [SERVER, description, path], asUser(user))
    const mount = new FixtureMount(path, user, server)
    let complaints = ''
    server.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaints += text
    })
    onTestFinished(async () => {
      server.kill('SIGKILL')
      await mount.exited
      // Fails when it is unmounted already.
      if (isRoot) spawnSync('umount', ['-i', '-l', path], { stdio: 'ignore' })
      else spawnSync('fusermount3', ['-u', '-z', '-q', path], { stdio: 'ignore' })
      rmSync(folder, { recursive: true, force: true })
    })
    const said = await mount.line()
    if (said !== 'mounted') throw new Error(`expected to be told of the mount, got ${said}: ${complaints}`)
    return mount
  }

  /** The next line that the server says. */
  async line(): Promise<string | undefined> {
    const { value, done } = await this.#lines.next()
    return done === true ? undefined : value
  }

  async stats(): Promise<ServerStats> {
    return (await this.tell('stats')) as ServerStats
  }

  /** Has the server do something. */
  async tell(command: string, argument?: unknown): Promise<unknown> {
    this.server.stdin.write(`${JSON.stringify({ command, argument })}\n`)
    const line = (await this.line()) ?? '{"error":"the server has ended"}'
    const answer = JSON.parse(line) as Outcome
    if (answer.error !== undefined) throw new Error(answer.error)
    return answer.value
  }

  /** Looks at the mount: each operation is a name with its arguments, the first of which is a path below the mount. */
  look(...operations: readonly (readonly [string, string, ...unknown[]])[]): Promise<Outcome[]> {
    return this.begin(...operations).outcome
  }

  /** As {@link look}, by a process that can be stopped. */
  begin(...operations: readonly (readonly [string, string, ...unknown[]])[]) {
    const child = spawn('python3', [PROBE], {
      ...asUser(this.#user),
      timeout: PATIENCE,
      killSignal: 'SIGKILL',
    })
    const input = operations.map(([name, path, ...rest]) => [
      name,
      path ? `${this.path}/${path}` : this.path,
      ...rest,
    ])
    child.stdin.end(JSON.stringify(input))
    return { child, outcome: outcomeOf(child) }
  }

  /** One operation. */
  async one(name: string, path: string, ...rest: readonly unknown[]): Promise<Outcome> {
    const [outcome] = await this.look([name, path, ...rest])
    return outcome!
  }

  /** Has the kernel forget what it knows of this mount, and of no other: for root only. */
  forgetAll(): void {
    execFileSync('mount', ['-i', '-o', 'remount,ro', this.path], { timeout: PATIENCE })
  }

  /** Unmounts, which must succeed, and waits for the end of the server. */
  async unmount(): Promise<void> {
    await this.tell('unmount').catch(() => {})
    const code = await this.exited
    if (code !== 0) throw new Error(`expected the server to end with 0, got ${code}`)
  }
}

async function outcomeOf(child: ChildProcessWithoutNullStreams): Promise<Outcome[]> {
  let out = ''
  let complaints = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text
  })
  const [code, signal] = await once(child, 'close')
  if (code !== 0) throw new Error(`the probe ended with ${signal ?? code}: ${complaints}`)
  return JSON.parse(out) as Outcome[]
}

function asUser({ uid }: User): { uid?: number; gid?: number; cwd: string } {
  return isRoot && uid !== 0 ? { uid, gid: uid, cwd: '/' } : { cwd: '/' }
}

function described({ roots = {}, blobs = [], directories = [], ...rest }: MountSpec) {
  return {
    ...rest,
    roots: Object.entries(roots).map(([name, node]) => [name, nodeText(node)]),
    blobs: blobs.map((content) => Buffer.from(content).toString('base64')),
    directories: directories.map((directory) => Buffer.from(directory.encode()).toString('base64')),
  }
}

/** A node as the server takes it. */
export function nodeText(node: Node) {
  if (node.kind === 'symlink')
    return { kind: node.kind, target: Buffer.from(node.target.bytes).toString('latin1') }
  const { kind, digest, size } = node
  return {
    kind,
    digest: String(digest),
    size: String(size),
    ...(kind === 'file' && { executable: node.executable }),
  }
}
