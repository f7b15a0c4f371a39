import type { PlannedPart, ServicePlan } from '@neve/castore-services/composition'

/** Draws what a service would be made of, a line each. */
export function drawPlan(plan: ServicePlan): string {
  return `${plan.kind} ${plan.name}: ${plan.type ?? 'code'}\n${drawParts(plan.parts, '')}`
}

const WORDS = {
  missing: 'missing',
  recursion: 'itself again',
  above: 'as above',
  deeper: 'and deeper',
} as const

function drawParts(parts: readonly PlannedPart[], indent: string): string {
  return parts
    .map((part, index) => {
      const isLast = index === parts.length - 1
      const line = `${indent}${isLast ? '└─' : '├─'} ${part.key} = ${describePart(part)}\n`
      if (typeof part.plan === 'string') return line
      return line + drawParts(part.plan.parts, `${indent}${isLast ? '   ' : '│  '}`)
    })
    .join('')
}

function describePart({ name, plan }: PlannedPart): string {
  if (typeof plan === 'string') return `${name}: ${WORDS[plan]}`
  const type = plan.type ?? 'code'
  return plan.address === undefined ? `${name}: ${type}` : `${type}: ${plan.address}`
}
