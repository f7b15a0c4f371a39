export { dumpPath } from './dump.node.js'
export { restorePath } from './restore.node.js'
