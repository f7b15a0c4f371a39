// Makes the .proto files of the standard services and their descriptors, which server reflection answers with.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeDescriptorSet } from '../../castore-model/scripts/descriptor-set.mjs'

const home = fileURLToPath(new URL('..', import.meta.url))
const protos = join(home, 'src/generated/public/protos')
const read = (name) => readFileSync(join(home, 'proto/grpc', name), 'utf8')

const texts = {
  'grpc/health/v1/health.proto': read('health/v1/health.proto'),
}
for (const version of ['v1', 'v1alpha']) {
  texts[`grpc/reflection/${version}/reflection.proto`] = read('reflection.proto.template').replaceAll(
    '{{version}}',
    version,
  )
}
for (const [name, text] of Object.entries(texts)) {
  const file = join(protos, name)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}
writeDescriptorSet(join(protos, 'grpc.binpb'), [protos], Object.keys(texts))
