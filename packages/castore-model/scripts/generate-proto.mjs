// Makes the .proto files of both generations from the templates, adds those that have only one owner, and protobufjs static code of them.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeDescriptorSet } from './descriptor-set.mjs'

const home = fileURLToPath(new URL('..', import.meta.url))
const generated = join(home, 'src/generated')
// What stands in this folder is copied beside the built code: importers and server reflection need the files themselves.
const protos = join(generated, 'public/protos')
const templates = readdirSync(join(home, 'proto'))
  .filter((name) => name.endsWith('.template'))
  .sort()
const files = []

// Newest Snix has other names for nodes, and the same bytes (spec 01 section 7.1).
for (const [generation, node] of [
  ['tvix', 'Node'],
  ['snix', 'Entry'],
]) {
  const folder = join(protos, generation, 'castore/protos')
  mkdirSync(folder, { recursive: true })
  for (const template of templates) {
    const text = readFileSync(join(home, 'proto', template), 'utf8')
    const file = join(folder, template.replace(/\.template$/, ''))
    const named = text.replaceAll('{{Node}}', node).replaceAll('{{node}}', node.toLowerCase())
    writeFileSync(file, named.replaceAll('{{generation}}', generation))
    files.push(file)
  }
}
for (const owner of ['snix', 'neve']) {
  const folder = join(protos, owner, 'castore/protos')
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(join(home, 'proto', owner))) {
    const file = join(folder, name)
    copyFileSync(join(home, 'proto', owner, name), file)
    files.push(file)
  }
}

writeDescriptorSet(
  join(protos, 'castore.binpb'),
  [protos],
  files.map((file) => relative(protos, file)),
)

const require = createRequire(import.meta.url)
const bin = join(dirname(require.resolve('protobufjs-cli/package.json')), 'bin')
const run = (tool, args) => execFileSync(process.execPath, [join(bin, tool), ...args], { stdio: 'inherit' })

const code = join(generated, 'castore-proto.js')
// Messages only: the services are described by hand where the transport is.
const options = [
  '--no-create',
  '--no-verify',
  '--no-convert',
  '--no-delimited',
  '--no-service',
  '--no-typeurl',
]
// A root of its own: packages that share the default one would overwrite each other's namespaces.
options.push('--keep-case', '--root', 'neve-castore-model', '--path', protos)
run('pbjs', ['--target', 'static-module', '--wrap', 'es6', ...options, '--out', code, ...files])

const types = join(generated, 'castore-proto.d.ts')
run('pbts', ['--out', types, code])
// The types of protobufjs have a Long of their own; the package that pbts names is not ours to import.
const declarations = readFileSync(types, 'utf8')
const imported = declarations.replace(
  'import Long = require("long");',
  'import type { Long } from "protobufjs";',
)
if (imported === declarations) throw new Error('pbts no longer imports Long as expected')
writeFileSync(types, imported)
