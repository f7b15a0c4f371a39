import { Composition } from './composition.js'
import { defaultRegistry } from './default-services.js'
import { ConfigError } from './errors.js'
import type { ServicePlan } from './plan.js'
import { checkInstanceName } from './reference.js'
import type { Registry } from './registry.js'
import { inFile, kindOfTable, parseToml } from './toml.js'
import { TomlLines } from './toml-lines.js'
import type { Problem } from './validation.js'

/** Options of {@link checkComposition}. */
export interface CheckCompositionOptions {
  /** The types that may be named. Default: those of this package. */
  readonly registry?: Registry | undefined
  /** What to call the text in messages. Default: it is not named. */
  readonly file?: string | undefined
}

/** Something that is wrong in a composition file, or looks as if it were. */
export interface Finding {
  /** An error keeps the file, or the instance, from being used; a warning does not. */
  readonly severity: 'error' | 'warning'
  /** For a person, in one line, with file, line, table, instance and key as far as they are known. */
  readonly message: string
  /** In the text, from 1. */
  readonly line: number | undefined
}

/** What is in a composition file. */
export interface CompositionCheck {
  /** In the order of their lines. */
  readonly findings: readonly Finding[]
  /** What the instances that nobody else uses would be made of, `root` and `default` first. */
  readonly plans: readonly ServicePlan[]
}

/**
 * Checks a composition file as a whole: every mistake in it, where reading it tells the first one only, and what would
 * be built of it. Nothing is opened, and no secret is shown.
 */
export function checkComposition(text: string, options: CheckCompositionOptions = {}): CompositionCheck {
  const { registry = defaultRegistry(), file } = options
  let data: object
  try {
    data = parseToml(text, file) as object
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { findings: [findingOf(error)], plans: [] }
  }
  const { mistakes, composition, broken } = readAll(data, registry)
  const lines = new TomlLines(text)
  const problems = composition
    .validate()
    // What could not be read is there all the same.
    .filter(({ code, path }) => code !== 'not-found' || !broken.has(path.at(-1)!))
  const findings = [
    ...mistakes.map((mistake) => findingOf(inFile(mistake, lines, file))),
    ...problems.map((problem) =>
      findingOf(inFile(located(problem, registry), lines, file), problem.severity),
    ),
  ]
  return {
    findings: findings.sort((a, b) => (a.line ?? 0) - (b.line ?? 0)),
    plans: composition.plans(),
  }
}

interface Readable {
  readonly mistakes: readonly ConfigError[]
  /** Of the instances that can be read. */
  readonly composition: Composition
  /** The labels of the others. */
  readonly broken: ReadonlySet<string>
}

function readAll(data: object, registry: Registry): Readable {
  const composition = new Composition({ registry })
  const mistakes: ConfigError[] = []
  const broken = new Set<string>()
  for (const [table, instances] of Object.entries(data)) {
    try {
      const kind = kindOfTable(registry, table)
      if (typeof instances !== 'object' || instances === null || Array.isArray(instances)) {
        throw new ConfigError('expected a table of instances', { table })
      }
      for (const [name, raw] of Object.entries(instances)) {
        const found = [...nameMistakes(name), ...registry.mistakes(kind, raw)]
        mistakes.push(...found.map((error) => error.at({ table, instance: name.slice(0, 80) })))
        if (found.length > 0) broken.add(`${kind.name}:${name}`)
        else composition.extend(kind, { [name]: registry.parse(kind, raw) })
      }
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      mistakes.push(error)
    }
  }
  return { mistakes, composition, broken }
}

function nameMistakes(name: string): readonly ConfigError[] {
  try {
    checkInstanceName(name)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return [error]
    throw error
  }
}

/** A problem with the references, at the instance and the key where it begins. */
function located({ kind, instance, path, message }: Problem, registry: Registry): ConfigError {
  const table = registry.kinds().find(({ name }) => name === kind)?.table
  return new ConfigError(message, { table, instance, key: path.length > 1 ? path[1] : undefined })
}

function findingOf({ message, location }: ConfigError, severity: Finding['severity'] = 'error'): Finding {
  return { severity, message, line: location.line }
}
