/**
 * What the garbage collection of an embedded store knows of blobs and directories.
 *
 * @packageDocumentation
 */
export { CastoreMark } from './castore-mark.js'
export { DigestSet } from './digest-set.js'
export { DigestSizes } from './digest-sizes.js'
export { eachChild } from './directory-children.js'
export { KeyList } from './key-list.js'
export { parentsFirst } from './parents-first.js'
export { rescue } from './rescue.js'
export { entryBytes, storedBytes } from './stored-bytes.js'
