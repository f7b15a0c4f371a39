/**
 * What addresses of stores mean, without loading what opens them.
 *
 * @packageDocumentation
 */
export { embeddedPath, isCompositionFile, isEmbeddedAddress } from './embedded-address.js'
export { defaultStoreAddress } from './store-location.js'
