// The hand of a process on the shim that was loaded into it.
import { createRequire } from 'node:module'

const koffi = createRequire(import.meta.resolve('@neve/embedded-store'))('koffi')
const library = koffi.load(null)

export const HOW = { once: 1, fromThenOn: 2, short: 3 }
export const setRoot = library.func('void disk_shim_root(const char *path)')
export const arm = library.func('void disk_shim_arm(int at, int error, int how)')
export const disarm = library.func('void disk_shim_disarm()')
export const failed = library.func('int disk_shim_failed()')
export const last = library.func('const char *disk_shim_last()')
export const record = library.func('int disk_shim_record(const char *path)')
export const promise = library.func('void disk_shim_promise(const char *text)')
