export { type ChunkSizes, chunkSizes, DEFAULT_AVERAGE } from './chunk-sizes.js'
export { Chunker, chunks } from './chunker.js'
export { Cutter } from './cutter.js'
export { FastCdcError, type FastCdcErrorCode } from './errors.js'
