export { MemoryObjectStore } from './memory.js'
export type { GetObjectOptions, ObjectMeta, ObjectRange, ObjectStore } from './object-store.js'
