import ts from 'typescript'

/** What the rules of the house ask about one source file. */
export interface SourceScan {
  /** Every module named in an import, an export, a dynamic import or an import type, in order. */
  readonly modules: readonly string[]
  readonly hasDefaultExport: boolean
  /** Globals of Node that are used as values: they do not exist in a browser. */
  readonly nodeGlobals: readonly string[]
}

const NODE_GLOBALS = new Set(['Buffer', 'process', 'require', '__dirname', '__filename', 'setImmediate'])

export function scanSource(text: string, fileName = 'source.ts'): SourceScan {
  const file = ts.createSourceFile(fileName, text, ts.ScriptTarget.ES2022, true)
  const modules: string[] = []
  const nodeGlobals: string[] = []
  let hasDefaultExport = false

  const visit = (node: ts.Node): void => {
    const named = moduleOf(node)
    if (named !== undefined) modules.push(named)
    if (isDefaultExport(node)) hasDefaultExport = true
    if (ts.isIdentifier(node) && NODE_GLOBALS.has(node.text) && isGlobalUse(node)) nodeGlobals.push(node.text)
    ts.forEachChild(node, visit)
  }
  visit(file)
  return { modules, hasDefaultExport, nodeGlobals }
}

function moduleOf(node: ts.Node): string | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return literal(node.moduleSpecifier)
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    return literal(node.arguments[0])
  }
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) return literal(node.argument.literal)
  return undefined
}

function literal(node: ts.Node | undefined): string | undefined {
  return node !== undefined && ts.isStringLiteralLike(node) ? node.text : undefined
}

function isDefaultExport(node: ts.Node): boolean {
  if (ts.isExportAssignment(node)) return true
  if (ts.isExportSpecifier(node)) return node.name.text === 'default'
  return ts.canHaveModifiers(node)
    ? (ts.getModifiers(node)?.some((modifier) => modifier.kind === ts.SyntaxKind.DefaultKeyword) ?? false)
    : false
}

/** Not the name of a property, a member, or a type. */
function isGlobalUse({ parent, text }: ts.Identifier): boolean {
  if (ts.isPropertyAccessExpression(parent))
    return ts.isIdentifier(parent.expression) && parent.expression.text === text
  return ts.isCallExpression(parent) || ts.isNewExpression(parent) || ts.isBinaryExpression(parent)
}
