// Makes the .proto files of both generations from the templates, and protobufjs static code of the newer one: the bytes of
// both are the same.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const home = fileURLToPath(new URL('..', import.meta.url))
const generated = join(home, 'src/generated')
// What stands in this folder is copied beside the built code: importers and server reflection need the files themselves.
const protos = join(generated, 'public/protos')
const files = []

for (const [generation, node] of [
  ['tvix', 'node'],
  ['snix', 'entry'],
]) {
  const folder = join(protos, generation, 'store/protos')
  mkdirSync(folder, { recursive: true })
  for (const template of readdirSync(join(home, 'proto')).sort()) {
    const text = readFileSync(join(home, 'proto', template), 'utf8')
    const file = join(folder, template.replace(/\.template$/, ''))
    writeFileSync(file, text.replaceAll('{{generation}}', generation).replaceAll('{{node}}', node))
    if (generation === 'snix') files.push(file)
  }
}

const castore = fileURLToPath(
  import.meta.resolve('@neve/castore-model/protos/snix/castore/protos/castore.proto'),
)
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
options.push(
  '--keep-case',
  '--root',
  'neve-store-pathinfo',
  '--path',
  protos,
  '--path',
  join(castore, '../../../..'),
)
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
