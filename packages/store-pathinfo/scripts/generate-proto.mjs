// Makes the .proto files of both generations from the templates, and protobufjs static code of the newer one: the bytes of
// both are the same.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeDescriptorSet } from '../../castore-model/scripts/descriptor-set.mjs'

const home = fileURLToPath(new URL('..', import.meta.url))
const generated = join(home, 'src/generated')
// What stands in this folder is copied beside the built code: importers and server reflection need the files themselves.
const protos = join(generated, 'public/protos')
const files = []
const described = []

for (const [generation, node] of [
  ['tvix', 'Node'],
  ['snix', 'Entry'],
]) {
  const folder = join(protos, generation, 'store/protos')
  mkdirSync(folder, { recursive: true })
  for (const template of readdirSync(join(home, 'proto')).sort()) {
    const text = readFileSync(join(home, 'proto', template), 'utf8')
    const file = join(folder, template.replace(/\.template$/, ''))
    const named = text.replaceAll('{{Node}}', node).replaceAll('{{node}}', node.toLowerCase())
    writeFileSync(file, named.replaceAll('{{generation}}', generation))
    described.push(relative(protos, file))
    if (generation === 'snix') files.push(file)
  }
}

const castore = fileURLToPath(
  import.meta.resolve('@neve/castore-model/protos/snix/castore/protos/castore.proto'),
)
const castoreProtos = join(castore, '../../../..')
writeDescriptorSet(join(protos, 'store.binpb'), [protos, castoreProtos], described)

const require = createRequire(import.meta.url)
const bin = join(dirname(require.resolve('protobufjs-cli/package.json')), 'bin')
const run = (tool, args) => execFileSync(process.execPath, [join(bin, tool), ...args], { stdio: 'inherit' })

const code = join(generated, 'store-proto.js')
const options = [
  '--no-create',
  '--no-verify',
  '--no-convert',
  '--no-delimited',
  '--no-service',
  '--no-typeurl',
]
// A root of its own: packages that share the default one would overwrite each other's namespaces.
options.push('--keep-case', '--root', 'neve-store-pathinfo', '--path', protos, '--path', castoreProtos)
run('pbjs', ['--target', 'static-module', '--wrap', 'es6', ...options, '--out', code, ...files])

const types = join(generated, 'store-proto.d.ts')
run('pbts', ['--out', types, code])
// The types of protobufjs have a Long of their own; the package that pbts names is not ours to import.
const declarations = readFileSync(types, 'utf8')
const imported = declarations.replace(
  'import Long = require("long");',
  'import type { Long } from "protobufjs";',
)
if (imported === declarations) throw new Error('pbts no longer imports Long as expected')
writeFileSync(types, imported)
