import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { look, missingMounts, script, scriptWithMounts, startMount } from './mounts.js'
import { makeNixClosure } from './nix-closure.js'
import { missingProgram, newStore, requireReal, sampleTree, temporaryFolder } from './support.js'

/** Mounts a tree that was imported: where it lies in the mount. */
async function mountTree(tree: string) {
  const store = newStore()
  const { lines } = await store.run('import', tree)
  const mount = await startMount(['--store', store.path])
  return { ...mount, tree: join(mount.place, basename(lines[0]!)) }
}

/** bash with everything that it loads, and some programs that it may run, in one folder. */
async function closureOfBash(): Promise<string> {
  const tree = join(temporaryFolder(), 'bash')
  mkdirSync(tree)
  const programs = ['bash', 'cat', 'sha256sum']
  const libraries = await script('for p in "$@"; do ldd "$(command -v "$p")"; done', ...programs)
  const paths = (await script('for p in "$@"; do readlink -f "$(command -v "$p")"; done', ...programs)).trim()
  for (const path of new Set([...paths.split('\n'), ...(libraries.match(/\/\S+/g) ?? [])])) {
    if (!existsSync(path)) continue
    copyFileSync(path, join(tree, basename(path)))
    chmodSync(join(tree, basename(path)), 0o755)
  }
  return tree
}

/** The names and hashes of everything in a tree. */
const HASHES = 'cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum'
const LINKS = 'cd "$1" && find . -printf "%y %p %l\\n" | LC_ALL=C sort'

describe('what real programs see in a mount', () => {
  beforeEach((context) => requireReal(context, missingMounts()))

  test('bash runs from it, with its libraries, mapped into memory, and runs others from it', async () => {
    const closure = await closureOfBash()
    const { tree, unmount } = await mountTree(closure)
    const loader = (await script('cd "$1" && ls ld-*', tree)).trim()
    const inMount = `${tree}/${loader} --library-path ${tree}`
    const said = await look(join(tree, loader), [
      ...['--library-path', tree, join(tree, 'bash'), '-c'],
      `${inMount} ${tree}/cat /proc/$$/maps; ${inMount} ${tree}/sha256sum ${tree}/bash; echo status $?`,
    ])
    const mapped = new Set(said.match(/\/\S+\/(?:bash|libc\.so\S*|ld-\S+)$/gm))
    expect([...mapped].sort()).toEqual(
      [join(tree, 'bash'), join(tree, 'libc.so.6'), join(tree, loader)].sort(),
    )
    const [hash] = (await look('sha256sum', [join(closure, 'bash')])).split(' ')
    expect(said).toContain(`${hash}  ${tree}/bash\nstatus 0\n`)
    expect(await unmount()).toBe(0)
  })

  test('tar, sha256sum, find and diff -r see what was imported, and nothing else', async () => {
    const original = sampleTree(temporaryFolder())
    const large = join(original, 'bin/deep/text')
    writeFileSync(large, Buffer.from('all work and no play\n'.repeat(400_000)))
    const { tree, unmount } = await mountTree(original)
    for (const what of [HASHES, LINKS]) expect(await script(what, tree)).toBe(await script(what, original))
    await look('diff', ['-r', '--no-dereference', original, tree])
    const unpacked = temporaryFolder()
    await script('tar -C "$1" -cf - . | tar -C "$2" -xf -', tree, unpacked)
    expect(await script(HASHES, unpacked)).toBe(await script(HASHES, original))
    expect(await unmount()).toBe(0)
  })

  test('fio finds every block that it wrote, read by many at once, in order and not', async (context) => {
    requireReal(context, missingProgram('fio', '--version'))
    const original = join(temporaryFolder(), 'blocks')
    const verified = [
      '--verify=crc32c',
      '--verify_fatal=1',
      '--verify_interval=4k',
      '--size=24m',
      '--verify_state_save=0',
    ]
    const written = ['--name=w', '--rw=write', '--bs=4k', '--do_verify=0', ...verified]
    await look('fio', [...written, `--filename=${original}`])
    const { tree, unmount } = await mountTree(original)
    const read = (file: string, ...how: string[]) =>
      look('fio', ['--name=r', '--readonly', '--thread', ...verified, `--filename=${file}`, ...how])
    await read(tree, '--rw=randread', '--bs=4k', '--numjobs=8')
    await script('echo 1 > /proc/sys/vm/drop_caches')
    await read(tree, '--rw=randread', '--bs=128k', '--numjobs=4')
    await read(tree, '--rw=read', '--bs=1m', '--numjobs=2')
    expect(await unmount()).toBe(0)
    // It would have noticed.
    const bytes = readFileSync(original)
    bytes[10_000_000]! ^= 1
    writeFileSync(original, bytes)
    await expect(read(original, '--rw=read', '--bs=4k')).rejects.toThrow(/verify|Invalid/)
  })

  test('overlayfs takes it as its lower directory: what is written hides what is below', async () => {
    const original = sampleTree(temporaryFolder())
    const { tree, unmount } = await mountTree(original)
    const said = await scriptWithMounts(
      `mount -t tmpfs tmpfs "$2" && mkdir "$2"/{upper,work,merged}
       mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/merged"
       cd "$2/merged"
       echo new > added; echo more >> hello; rm bin/run; mv bin/deep/large large
       cmp large "$1/bin/deep/large"; cat added hello; ls bin; cd /; umount "$2/merged"`,
      tree,
      temporaryFolder(),
    )
    expect(said).toBe('new\nHello World!more\ndangling\ndeep\n')
    expect(readFileSync(join(tree, 'hello'), 'utf8')).toBe('Hello World!')
    expect(await unmount()).toBe(0)
  })

  test('it stands in for /nix/store, and real Nix verifies, dumps and copies what is in it', async (context) => {
    requireReal(context, missingProgram('nix', '--version'))
    const closure = makeNixClosure()
    const paths = closure.nix('nix-store', '-q', '--requisites', closure.top).toString().trim().split('\n')
    const store = newStore()
    const infos = JSON.parse(
      closure.nix('nix', 'path-info', '--json', '--recursive', closure.top).toString(),
    ) as unknown
    const file = join(temporaryFolder(), 'closure.json')
    writeFileSync(file, JSON.stringify(infos))
    const copied = await store.run('copy', '--root', closure.root, file)
    expect([copied.code, copied.stderr]).toEqual([0, ''])
    const dumped = closure.run('nix-store', ['--dump', closure.root + closure.top])
    const { place, unmount } = await startMount(['--store', store.path])
    const said = await scriptWithMounts(
      `mount --bind "$1" "$2/nix/store"
       nix-hash --type sha256 --base32 "$2$4"
       mount -t tmpfs tmpfs "$3" && mkdir "$3"/{upper,work,cache}
       mount -t overlay overlay -o "lowerdir=$1,upperdir=$3/upper,workdir=$3/work" "$2/nix/store"
       export HOME="$3" NIX_CONF_DIR="$5"
       nix-store --store "$2" --verify --check-contents
       nix-store --dump "$2$4" | sha256sum
       nix copy --store "$2" --to "file://$3/cache?compression=none" "$4" && ls "$3"/cache/*.narinfo | wc -l
       find "$3/upper" -type f | wc -l`,
      ...[place, closure.root, temporaryFolder(), closure.top, join(closure.root, '..')],
    )
    const [hash, sum, count, changed] = said.trim().split('\n')
    expect(hash).toBe(
      closure
        .run('nix-hash', ['--type', 'sha256', '--base32', closure.root + closure.top])
        .toString()
        .trim(),
    )
    const file2 = join(temporaryFolder(), 'nar')
    writeFileSync(file2, dumped)
    expect(sum).toBe(`${(await look('sha256sum', [file2])).split(' ')[0]}  -`)
    expect([Number(count), Number(changed)]).toEqual([paths.length, 0])
    expect(await unmount()).toBe(0)
  })
})
