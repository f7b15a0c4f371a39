export {
  type NarFileName,
  parseNarFileName,
  parseStorePathFileName,
  type StorePathFileName,
} from './cache-file-name.js'
export { type CacheInfo, formatCacheInfo, parseCacheInfo } from './cache-info.js'
export {
  ContentAddress,
  ContentAddressError,
  type ContentAddressErrorCode,
  type ContentAddressMethod,
} from './content-address.js'
export {
  Derivation,
  type DerivationInit,
  type DerivationOutput,
  type InputDerivation,
  type ModuloLookup,
} from './derivation.js'
export { DerivationError, type DerivationErrorCode } from './derivation-error.js'
export { type Fingerprinted, fingerprint, trustedSignature } from './fingerprint.js'
export { digestSize, HASH_ALGORITHMS, type HashAlgorithm, isHashAlgorithm } from './hash-algorithm.js'
export { formatNarInfo, type NarInfo } from './narinfo.js'
export { NarInfoError, type NarInfoErrorCode } from './narinfo-error.js'
export {
  MAX_NARINFO_LENGTH,
  type NarInfoQuirk,
  type ParsedNarInfo,
  parseNarInfo,
} from './narinfo-parser.js'
export { NixHash } from './nix-hash.js'
export { NixHashError, type NixHashErrorCode } from './nix-hash-error.js'
export { NixHasher } from './nix-hasher.js'
export {
  decodeNixbase32,
  encodeNixbase32,
  NIXBASE32_ALPHABET,
  Nixbase32Error,
  type Nixbase32ErrorCode,
  nixbase32Length,
} from './nixbase32.js'
export { PublicKey } from './public-key.js'
export { SecretKey } from './secret-key.js'
export { SIGNATURE_SIZE, Signature } from './signature.js'
export { SignatureError, type SignatureErrorCode } from './signature-error.js'
export { STORE_DIR, STORE_PATH_DIGEST_SIZE, StorePath } from './store-path.js'
export {
  BuildStorePathError,
  type BuildStorePathErrorCode,
  buildStorePath,
  foldDigest,
  narStorePath,
  outputPathName,
  outputStorePath,
  placeholder,
  type References,
  storePathOfType,
  textStorePath,
} from './store-path-builder.js'
export { StorePathError, type StorePathErrorCode } from './store-path-error.js'
export { MAX_NAME_LENGTH, validateName } from './store-path-name.js'
export * from './wire.js'
