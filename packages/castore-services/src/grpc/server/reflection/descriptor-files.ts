import protobuf from 'protobufjs/minimal.js'
import { CastoreError } from '../../../errors.js'

/** A .proto file as reflection tells of it. */
export interface DescriptorFile {
  /** As it is imported: `snix/castore/protos/castore.proto`. */
  readonly name: string
  /** The names of the files that it imports. */
  readonly imports: readonly string[]
  /** The encoded FileDescriptorProto. */
  readonly bytes: Uint8Array
}

/** The .proto files of some descriptor sets, to be found by name and by what they define. */
export class DescriptorFiles {
  readonly #files = new Map<string, DescriptorFile>()
  readonly #symbols = new Map<string, DescriptorFile>()
  readonly #messages = new Set<string>()

  /**
   * @param sets encoded FileDescriptorSet messages; of files with equal names the first one counts
   * @throws CastoreError `invalid-input` for bytes that are none
   */
  constructor(sets: readonly Uint8Array[]) {
    try {
      for (const set of sets) for (const file of repeated(set, FILE)) this.#add(file)
    } catch (cause) {
      throw new CastoreError('invalid-input', `unusable descriptor set: ${(cause as Error).message}`, {
        cause,
      })
    }
  }

  /** The file of that name. */
  byName(name: string): DescriptorFile | undefined {
    return this.#files.get(name)
  }

  /** The file that defines a service, method, message, field, oneof, enum or enum value. @param symbol its full name */
  bySymbol(symbol: string): DescriptorFile | undefined {
    return this.#symbols.get(symbol)
  }

  /** Whether there is a message of that full name. */
  hasMessage(name: string): boolean {
    return this.#messages.has(name)
  }

  /** A file, and after it everything that it imports, each once. */
  withImports(file: DescriptorFile): DescriptorFile[] {
    const all = new Set([file])
    // A set that grows is walked to its end.
    for (const { imports } of all) {
      for (const name of imports) {
        const imported = this.#files.get(name)
        if (imported !== undefined) all.add(imported)
      }
    }
    return [...all]
  }

  #add(bytes: Uint8Array): void {
    const name = nameOf(bytes)
    if (this.#files.has(name)) return
    const file = { name, imports: [...texts(bytes, IMPORT)], bytes }
    this.#files.set(name, file)
    const [owner = ''] = texts(bytes, PACKAGE)
    for (const message of repeated(bytes, MESSAGE)) this.#addMessage(file, owner, message)
    for (const enumeration of repeated(bytes, ENUM)) this.#addEnum(file, owner, enumeration)
    for (const service of repeated(bytes, SERVICE)) {
      const scope = this.#addSymbol(file, owner, service)
      for (const method of repeated(service, METHOD)) this.#addSymbol(file, scope, method)
    }
  }

  #addMessage(file: DescriptorFile, owner: string, message: Uint8Array): void {
    const scope = this.#addSymbol(file, owner, message)
    this.#messages.add(scope)
    for (const field of [...repeated(message, FIELD), ...repeated(message, ONEOF)])
      this.#addSymbol(file, scope, field)
    for (const nested of repeated(message, NESTED)) this.#addMessage(file, scope, nested)
    for (const enumeration of repeated(message, NESTED_ENUM)) this.#addEnum(file, scope, enumeration)
  }

  #addEnum(file: DescriptorFile, owner: string, enumeration: Uint8Array): void {
    this.#addSymbol(file, owner, enumeration)
    // Values stand beside their enum, not in it.
    for (const value of repeated(enumeration, VALUE)) this.#addSymbol(file, owner, value)
  }

  #addSymbol(file: DescriptorFile, owner: string, definition: Uint8Array): string {
    const name = owner === '' ? nameOf(definition) : `${owner}.${nameOf(definition)}`
    this.#symbols.set(name, file)
    return name
  }
}

// Field numbers of google/protobuf/descriptor.proto. A name is always the first field.
const FILE = 1
const NAME = 1
const PACKAGE = 2
const IMPORT = 3
const MESSAGE = 4
const ENUM = 5
const SERVICE = 6
const FIELD = 2
const NESTED = 3
const NESTED_ENUM = 4
const ONEOF = 8
const VALUE = 2
const METHOD = 2

function nameOf(message: Uint8Array): string {
  const [name] = texts(message, NAME)
  if (name === undefined) throw new Error('something has no name')
  return name
}

function* texts(message: Uint8Array, field: number): Generator<string> {
  for (const bytes of repeated(message, field)) yield Buffer.from(bytes).toString()
}

/** The values of a field that holds messages or text. */
function* repeated(message: Uint8Array, field: number): Generator<Uint8Array> {
  const reader = protobuf.Reader.create(message)
  while (reader.pos < reader.len) {
    const tag = reader.uint32()
    if (tag === ((field << 3) | 2)) yield reader.bytes()
    else reader.skipType(tag & 7)
  }
}
