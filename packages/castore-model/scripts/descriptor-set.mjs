// Compiles .proto files to what `protoc --include_imports --descriptor_set_out` makes of them: server reflection answers with it.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import protobuf from 'protobufjs'
import descriptor from 'protobufjs/ext/descriptor.js'

/**
 * @param {string} output
 * @param {readonly string[]} folders where imports are looked for
 * @param {readonly string[]} files relative to one of the folders: descriptors keep these names
 */
export function writeDescriptorSet(output, folders, files) {
  const root = new protobuf.Root()
  /** @type {Map<string, { package: string, imports: readonly string[] }>} dependencies first */
  const parsed = new Map()
  /** @param {string} name */
  const load = (name) => {
    if (parsed.has(name)) return
    const path = folders.map((folder) => join(folder, name)).find(existsSync)
    if (path === undefined) throw new Error(`no ${name} in ${folders.join(' ')}`)
    // Objects remember the file that they came from.
    protobuf.parse.filename = name
    const { package: owner = '', imports = [] } = protobuf.parse(readFileSync(path, 'utf8'), root, {
      keepCase: true,
    })
    for (const other of imports) load(other)
    parsed.set(name, { package: owner, imports })
  }
  for (const file of files) load(file)
  root.resolveAll()
  const file = [...parsed].map(([name, { package: owner, imports }]) => {
    const objects = root.lookup(owner)?.nestedArray.filter(({ filename }) => filename === name) ?? []
    const of = (kind) => objects.filter((object) => object instanceof kind)
    return {
      name,
      package: owner,
      dependency: imports,
      messageType: of(protobuf.Type).map(messageOf),
      enumType: of(protobuf.Enum).map((object) => object.toDescriptor('proto3')),
      service: of(protobuf.Service).map(serviceOf),
      syntax: 'proto3',
    }
  })
  writeFileSync(output, descriptor.FileDescriptorSet.encode({ file }).finish())
}

/** Names of types are written in full, as protoc does. */
function messageOf(type) {
  const message = type.toDescriptor('proto3')
  for (const field of message.field) {
    const { resolvedType } = type.fields[field.name]
    if (resolvedType) field.typeName = resolvedType.fullName
  }
  message.nestedType = type.nestedArray.filter((nested) => nested instanceof protobuf.Type).map(messageOf)
  return message
}

function serviceOf(service) {
  const message = service.toDescriptor()
  for (const method of message.method) {
    const { resolvedRequestType, resolvedResponseType } = service.methods[method.name]
    method.inputType = resolvedRequestType.fullName
    method.outputType = resolvedResponseType.fullName
  }
  return message
}
