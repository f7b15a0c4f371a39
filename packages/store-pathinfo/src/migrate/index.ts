/**
 * Copying whole stores from one backend to another.
 *
 * @packageDocumentation
 */
export { type MigratedPath, type MigrateStoreOptions, migrateRoots, migrateStore } from './migrate-store.js'
export { type RewrittenTree, rewriteTree } from './rewrite-tree.js'
