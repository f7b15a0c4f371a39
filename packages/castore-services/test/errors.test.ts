import { B3Digest } from '@neve/castore-model'
import {
  BlobTooLargeError,
  CastoreError,
  DataLossError,
  DirectoryOrderError,
  WrongSizeError,
} from '@neve/castore-services'
import { describe, expect, it } from 'vitest'

const TEXT = 'b3:rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI='

describe('CastoreError', () => {
  it.each([
    [new DataLossError(B3Digest.EMPTY, 'memory', 'x'), 'DataLossError', 'data-loss', 'x (memory)'],
    [
      new BlobTooLargeError(B3Digest.EMPTY, 5n, 4),
      'BlobTooLargeError',
      'too-large',
      `blob ${TEXT} has 5 bytes, expected at most 4`,
    ],
    [
      new DirectoryOrderError(B3Digest.EMPTY),
      'DirectoryOrderError',
      'order',
      `unexpected digest: nothing that came before references directory ${TEXT}`,
    ],
    [
      new DirectoryOrderError(B3Digest.EMPTY, B3Digest.EMPTY),
      'DirectoryOrderError',
      'order',
      `unknown directory was referenced: ${TEXT} references ${TEXT}, which was not put before`,
    ],
    [
      new WrongSizeError('foo', B3Digest.EMPTY, 42n, 0n),
      'WrongSizeError',
      'size',
      "'foo' has wrong size, specified 42, recorded 0",
    ],
  ])('%s has a name, a code and a message', (error, name, code, message) => {
    expect(error).toBeInstanceOf(CastoreError)
    expect(error).toMatchObject({ name, code, message })
    expect(error.stack).toContain(name)
  })

  it.each([
    ['invalid-input', 'InvalidRequest'],
    ['invalid-request', 'InvalidRequest'],
    ['empty', 'InvalidRequest'],
    ['order', 'InvalidRequest'],
    ['size', 'InvalidRequest'],
    ['disconnected', 'InvalidRequest'],
    ['incomplete', 'InvalidRequest'],
    ['data-loss', 'StorageError'],
    ['storage', 'StorageError'],
    ['unavailable', 'StorageError'],
    ['not-found', 'StorageError'],
  ] as const)('%s is %s on the wire', (code, kind) => {
    expect(new CastoreError(code, 'x').kind).toBe(kind)
  })

  it('keeps its cause', () => {
    const cause = new Error('disk')
    expect(new CastoreError('storage', 'x', { cause }).cause).toBe(cause)
  })
})
