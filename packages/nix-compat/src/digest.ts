import { md5, sha1 } from '@noble/hashes/legacy.js'
import { sha256, sha512 } from '@noble/hashes/sha2.js'
import type { DigestPlatform } from './digest-interface.js'

const hashes = { md5, sha1, sha256, sha512 }

/** Hashing in plain JavaScript: for browsers, whose own hashing is asynchronous and knows no MD5. */
export const { digest, digestStream }: DigestPlatform = {
  digest: (algorithm, bytes) => hashes[algorithm](bytes),
  digestStream: (algorithm) => hashes[algorithm].create(),
}
