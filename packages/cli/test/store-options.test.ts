import { describe, expect, test } from 'vitest'
import { UsageError } from '../src/messages.js'
import { storeSources } from '../src/store-options.js'

describe('08#7 flags go before the environment, and that before the defaults', () => {
  const all = {
    NEVE_STORE_CONFIG: 'env.toml',
    BLOB_SERVICE_ADDR: 'env-blobs',
    DIRECTORY_SERVICE_ADDR: 'env-directories',
    PATH_INFO_SERVICE_ADDR: 'env-infos',
  }
  const addresses = { ...all, NEVE_STORE_CONFIG: undefined }

  test.each([
    ['nothing', {}, {}, undefined],
    ['empty variables', {}, { NEVE_STORE_CONFIG: '', BLOB_SERVICE_ADDR: '' }, undefined],
    ['--store', { store: 'x' }, all, 'x'],
    ['the config of the environment', {}, all, { config: 'env.toml', pathInfos: 'env-infos' }],
    ['--store-config', { storeConfig: 'a.toml' }, addresses, { config: 'a.toml', pathInfos: 'env-infos' }],
    [
      'addresses of the environment',
      {},
      addresses,
      { blobs: 'env-blobs', directories: 'env-directories', pathInfos: 'env-infos' },
    ],
    [
      'one flag, the others of the environment',
      { blobServiceAddr: 'blobs' },
      all,
      { blobs: 'blobs', directories: 'env-directories', pathInfos: 'env-infos' },
    ],
    [
      'the other flag',
      { directoryServiceAddr: 'directories' },
      { BLOB_SERVICE_ADDR: 'b' },
      { blobs: 'b', directories: 'directories', pathInfos: undefined },
    ],
    [
      'all flags',
      { blobServiceAddr: 'b', directoryServiceAddr: 'd', pathInfoServiceAddr: 'p' },
      all,
      { blobs: 'b', directories: 'd', pathInfos: 'p' },
    ],
    [
      'our variables before those of the reference',
      {},
      { NEVE_BLOB_SERVICE_ADDR: 'ours', BLOB_SERVICE_ADDR: 'theirs', DIRECTORY_SERVICE_ADDR: 'd' },
      { blobs: 'ours', directories: 'd', pathInfos: undefined },
    ],
    [
      'the composition of the reference, whose addresses then are of no interest',
      {},
      { EXPERIMENTAL_STORE_COMPOSITION: 'theirs.toml', BLOB_SERVICE_ADDR: 'b', DIRECTORY_SERVICE_ADDR: 'd' },
      { config: 'theirs.toml', pathInfos: undefined },
    ],
    [
      'our composition before that of the reference',
      {},
      { EXPERIMENTAL_STORE_COMPOSITION: 'theirs.toml', NEVE_STORE_CONFIG: 'ours.toml' },
      { config: 'ours.toml', pathInfos: undefined },
    ],
    [
      'a config with path infos elsewhere',
      { storeConfig: 'a.toml', pathInfoServiceAddr: 'memory:' },
      {},
      { config: 'a.toml', pathInfos: 'memory:' },
    ],
    [
      'path infos alone',
      { pathInfoServiceAddr: 'memory:' },
      {},
      expect.objectContaining({ pathInfos: 'memory:' }),
    ],
  ])('%s', (_name, options, environment, expected) => {
    expect(storeSources(options, environment)).toEqual(expected)
  })

  test.each([
    [{ store: 'x', storeConfig: 'y' }, '--store and --store-config'],
    [{ store: 'x', blobServiceAddr: 'y' }, '--store and --blob-service-addr'],
    [{ store: 'x', directoryServiceAddr: 'y' }, '--store and --directory-service-addr'],
    [{ store: 'x', pathInfoServiceAddr: 'y' }, '--store and --path-info-service-addr'],
    [{ storeConfig: 'x', blobServiceAddr: 'y' }, '--store-config and --blob-service-addr'],
    [{ storeConfig: 'x', directoryServiceAddr: 'y' }, '--store-config and --directory-service-addr'],
    [{ store: '' }, '--store needs an address, got ""'],
    [{ storeConfig: '' }, '--store-config needs a file, got ""'],
    [{ blobServiceAddr: '' }, '--blob-service-addr needs an address'],
    [{ directoryServiceAddr: '' }, '--directory-service-addr needs an address'],
    [{ pathInfoServiceAddr: '' }, '--path-info-service-addr needs an address'],
  ])('%j cannot be', (options, message) => {
    expect(() => storeSources(options, {})).toThrow(UsageError)
    expect(() => storeSources(options, {})).toThrow(message)
  })
})
