/**
 * What the garbage collection of an object store knows of blobs and directories.
 *
 * @packageDocumentation
 */

export { type GraceAge, LEAST_GRACE, readGrace, writeGrace } from '../object-store/grace.js'
export { GRACE_POLL } from '../object-store/object-holds.js'
export { Collection, CollectionBusyError, isOld, type Keeping, type SweptStep } from './collection.js'
export type { ListedObject, MarkedKind } from './listed-objects.js'
export { ObjectMark } from './object-mark.js'
export { ObjectSizes } from './object-sizes.js'
