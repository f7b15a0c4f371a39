import { DigestSet } from '@neve/castore-services/gc'

/** What a verification has found to be sound so far: some 36 bytes a digest. */
export class SoundDigests {
  /** Directories below which all is sound. */
  directories = new DigestSet()
  blobs = new DigestSet()
  readonly #most: number

  /** @param most so many of each kind are remembered; then they are forgotten, and checked again where they are met */
  constructor(most: number) {
    this.#most = most
  }

  addBlob(digests: Uint8Array, at = 0): void {
    if (this.blobs.size >= this.#most) this.blobs = new DigestSet()
    this.blobs.add(digests, at)
  }

  addDirectories(directories: DigestSet): void {
    if (this.directories.size + directories.size > this.#most) this.directories = new DigestSet()
    this.directories.addAll(directories)
  }
}
