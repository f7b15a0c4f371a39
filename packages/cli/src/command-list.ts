import type { Command } from 'commander'
import type { Context } from './context.js'

/** A command that is loaded when it is used. */
export interface CommandEntry {
  readonly name: string
  readonly summary: string
  readonly load: () => Promise<(context: Context) => Command>
}

/** All commands, in the order in which help lists them. One file each, in `commands/`. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'import',
    summary: 'store files and directories, and print their store paths',
    load: async () => (await import('./commands/import.js')).importCommand,
  },
  {
    name: 'import-archive',
    summary: 'store the trees in tar archives, compressed or not, and print their store paths',
    load: async () => (await import('./commands/import-archive.js')).importArchiveCommand,
  },
  {
    name: 'import-nar',
    summary: 'store the trees in NAR archives, compressed or not, and print what they are',
    load: async () => (await import('./commands/import-nar.js')).importNarCommand,
  },
  {
    name: 'copy',
    summary: 'copy store paths of this machine into the store, with what Nix says of them',
    load: async () => (await import('./commands/copy.js')).copyCommand,
  },
  {
    name: 'path-info',
    summary: 'tell what the store knows of store paths: sizes, references, signatures',
    load: async () => (await import('./commands/path-info.js')).pathInfoCommand,
  },
  {
    name: 'sign',
    summary: 'sign path infos with secret keys',
    load: async () => (await import('./commands/sign.js')).signCommand,
  },
  {
    name: 'ls',
    summary: 'list a directory of the store',
    load: async () => (await import('./commands/ls.js')).lsCommand,
  },
  {
    name: 'cat',
    summary: 'print files of the store',
    load: async () => (await import('./commands/cat.js')).catCommand,
  },
  {
    name: 'stat',
    summary: 'tell what the store knows of something: digest, sizes, chunks, what is shared',
    load: async () => (await import('./commands/stat.js')).statCommand,
  },
  {
    name: 'nar',
    summary: 'write something as a NAR archive',
    load: async () => (await import('./commands/nar.js')).narCommand,
  },
  {
    name: 'export',
    summary: 'write a file or tree of the store back to disk',
    load: async () => (await import('./commands/export.js')).exportCommand,
  },
  {
    name: 'copy-castore',
    summary: 'copy trees and blobs from one store to another',
    load: async () => (await import('./commands/copy-castore.js')).copyCastoreCommand,
  },
  {
    name: 'push',
    summary: 'copy store paths, with what they reference, to another store',
    load: async () => (await import('./commands/push.js')).pushCommand,
  },
  {
    name: 'pull',
    summary: 'copy store paths, with what they reference, from another store',
    load: async () => (await import('./commands/pull.js')).pullCommand,
  },
  {
    name: 'verify',
    summary: 'check that store paths are whole and sound, and mend what is not',
    load: async () => (await import('./commands/verify.js')).verifyCommand,
  },
  {
    name: 'store',
    summary: 'tell what a store holds and why; migrate it, make snapshots of it',
    load: async () => (await import('./commands/store.js')).storeCommand,
  },
  {
    name: 'root',
    summary: 'say what stays when garbage is collected',
    load: async () => (await import('./commands/root.js')).rootCommand,
  },
  {
    name: 'gc',
    summary: 'remove what no root keeps, and give its space back',
    load: async () => (await import('./commands/gc.js')).gcCommand,
  },
  {
    name: 'daemon',
    summary: 'serve a store over gRPC: blobs, directories and path infos',
    load: async () => (await import('./commands/daemon.js')).daemonCommand,
  },
  {
    name: 'castore-daemon',
    summary: 'serve blobs and directories over gRPC',
    load: async () => (await import('./commands/castore-daemon.js')).castoreDaemonCommand,
  },
  {
    name: 'nar-bridge',
    summary: 'serve a store as a Nix binary cache over HTTP',
    load: async () => (await import('./commands/nar-bridge.js')).narBridgeCommand,
  },
  {
    name: 'castore-http',
    summary: 'serve a tree of the store as a web site',
    load: async () => (await import('./commands/castore-http.js')).castoreHttpCommand,
  },
  {
    name: 'mount',
    summary: 'show a store as a read-only filesystem',
    load: async () => (await import('./commands/mount.js')).mountCommand,
  },
  {
    name: 'config',
    summary: 'check a composition file, and draw what would be built of it',
    load: async () => (await import('./commands/config.js')).configCommand,
  },
  {
    name: 'key',
    summary: 'make a key that signs path infos, or tell the public half of one',
    load: async () => (await import('./commands/key.js')).keyCommand,
  },
  {
    name: 'completion',
    summary: 'print a completion script for a shell',
    load: async () => (await import('./commands/completion.js')).completionCommand,
  },
]
