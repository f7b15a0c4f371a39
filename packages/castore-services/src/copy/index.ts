export {
  type CopyClosureOptions,
  type CopyProgress,
  type CopyResult,
  type CopyServices,
  copyClosure,
} from './copy-closure.js'
export { WholeClosures } from './whole-closures.js'
