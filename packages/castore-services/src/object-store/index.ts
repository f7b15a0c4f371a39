export { FileObjectStore, type FileObjectStoreInit } from './files.js'
export { MemoryObjectStore } from './memory.js'
export type { GetObjectOptions, ObjectMeta, ObjectRange, ObjectStore } from './object-store.js'
export { openObjectStore } from './open.js'
