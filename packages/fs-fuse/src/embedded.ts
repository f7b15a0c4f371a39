/**
 * Mounting an embedded store, without loading what any other needs.
 *
 * @packageDocumentation
 */
export { type EmbeddedMountOptions, mountEmbedded } from './embedded-mount.js'
export type { FuseMount } from './fuse-mount.js'
export {
  type EmbeddedRoots,
  ServingThread,
  type ThreadListeners,
  type ThreadSettings,
} from './serving-thread.js'
