/**
 * Contents of a castore as a read-only filesystem (spec 05): the filesystem, the FUSE protocol, and `/dev/fuse`.
 *
 * @packageDocumentation
 */
export { type Content, type FileContent, ServiceContent } from './content.js'
export { DeviceTransport, type DeviceTransportOptions } from './device/device-transport.js'
export {
  type MountedDevice,
  type MountOptions,
  mountDevice,
  unmountDevice,
} from './device/mount-device.js'
export { MountError } from './device/mount-error.js'
export { EmbeddedContent } from './embedded-content.js'
export { type EmbeddedMountOptions, mountEmbedded } from './embedded-mount.js'
export { Errno, FilesystemError } from './errno.js'
export { type Attributes, attributesOf, FileMode, type Owner } from './filesystem/attributes.js'
export {
  CastoreFilesystem,
  type CastoreFilesystemInit,
  type FilesystemTrouble,
  type FoundNode,
  type ListedEntry,
} from './filesystem/castore-filesystem.js'
export type { AttributePrefix } from './filesystem/extended-attributes.js'
export { type Folder, NodeTable, ROOT_NODE } from './filesystem/node-table.js'
export { FuseMount, mountFilesystem } from './fuse-mount.js'
export type { MaybePromise } from './maybe-promise.js'
export { MapRootNodes, type RootEntry, type RootNodes } from './root-nodes.js'
export {
  type EmbeddedRoots,
  ServingThread,
  type ThreadListeners,
  type ThreadSettings,
} from './serving-thread.js'
export { FuseSession, type FuseSessionOptions } from './session.js'
export type { FuseReceiver, FuseTransport } from './transport.js'
