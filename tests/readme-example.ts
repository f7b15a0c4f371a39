import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { runProcess } from './run-process.js'
import { ROOT } from './workspace.js'

/** The blocks of TypeScript in a text of Markdown, without their fences. */
export function examplesIn(markdown: string): readonly string[] {
  return [...markdown.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!)
}

/** Which line of a text of Markdown opens its first block of TypeScript, from 1. */
export function exampleLine(markdown: string): number {
  return markdown.slice(0, markdown.search(/^```ts$/m)).split('\n').length
}

export interface Example {
  /** The package, relative to the root, from which names of modules are resolved. */
  readonly folder: string
  readonly code: string
}

/**
 * Checks the types of all examples in one program, as strictly as those of the packages.
 *
 * @returns for each example, in order, what is wrong with it
 */
export function checkTypes(examples: readonly Example[]): readonly (readonly string[])[] {
  const virtual = new Map(
    examples.map(({ folder, code }, index) => [join(ROOT, folder, `readme-example-${index}.mts`), code]),
  )
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.base.json'), ts.sys.readFile)
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, ROOT)
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile, getSourceFile } = host
  host.fileExists = (file) => virtual.has(file) || fileExists(file)
  host.readFile = (file) => virtual.get(file) ?? readFile(file)
  host.getSourceFile = (file, languageVersion, ...rest) => {
    const code = virtual.get(file)
    return code === undefined
      ? getSourceFile(file, languageVersion, ...rest)
      : ts.createSourceFile(file, code, languageVersion)
  }
  host.getCurrentDirectory = () => ROOT
  const program = ts.createProgram([...virtual.keys()], options, host)
  return [...virtual.keys()].map((file) =>
    ts.getPreEmitDiagnostics(program, program.getSourceFile(file)).map((diagnostic) => {
      const text = ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n')
      const position = diagnostic.file?.getLineAndCharacterOfPosition(diagnostic.start ?? 0)
      return position === undefined ? text : `line ${position.line + 1} of the example: ${text}`
    }),
  )
}

/**
 * Runs an example with a home and a store of its own, in an empty working folder.
 *
 * @returns its exit code, and everything that it printed
 */
export async function runExample({ folder, code }: Example): Promise<{ code: number; output: string }> {
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  })
  // Inside of the package, so that it can be imported by its own name; `dist` is not under version control.
  const place = mkdtempSync(join(ROOT, folder, 'dist', 'readme-example-'))
  const home = mkdtempSync(join(tmpdir(), 'neve-readme-'))
  try {
    const file = join(place, 'example.mjs')
    writeFileSync(file, outputText)
    return await runProcess(process.execPath, [file], {
      cwd: home,
      env: { PATH: process.env['PATH'], HOME: home, TMPDIR: home, NEVE_STORE: join(home, 'store') },
    })
  } finally {
    rmSync(place, { recursive: true, force: true })
    rmSync(home, { recursive: true, force: true })
  }
}

/** The folder of a README or guide, relative to the root, from which its examples are resolved. */
export function folderOf(readme: string): string {
  if (readme.startsWith('docs/')) return 'packages/castore-services'
  // The root can import none of the packages; this one has the others below it.
  return readme === 'README.md' ? 'packages/store-pathinfo' : dirname(readme)
}
