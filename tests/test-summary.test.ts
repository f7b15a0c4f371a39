import { describe, expect, it } from 'vitest'
import { countTests, summaryLine } from '../scripts/test-summary.mjs'

const EMPTY = { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0, testResults: [] }

describe('countTests', () => {
  it('adds up what the runner reports', () => {
    const report = { ...EMPTY, numPassedTests: 5, numFailedTests: 2, numPendingTests: 3, numTodoTests: 1 }
    expect(countTests(report)).toEqual({ passed: 5, failed: 2, skipped: 4 })
  })

  it('counts a file that could not be run as a failure', () => {
    const testResults = [
      { status: 'failed', assertionResults: [] },
      { status: 'failed', assertionResults: [{ status: 'passed' }] },
      { status: 'passed', assertionResults: [{ status: 'passed' }] },
    ]
    expect(countTests({ ...EMPTY, numPassedTests: 2, testResults })).toEqual({
      passed: 2,
      failed: 2,
      skipped: 0,
    })
  })

  it('does not count a failed test twice', () => {
    const testResults = [{ status: 'failed', assertionResults: [{ status: 'failed' }] }]
    expect(countTests({ ...EMPTY, numFailedTests: 1, testResults })).toMatchObject({ failed: 1 })
  })
})

describe('summaryLine', () => {
  it('leaves out what there is none of, except failures', () => {
    expect(summaryLine({ passed: 12, failed: 0, skipped: 0 })).toBe('12 passed, 0 failed')
    expect(summaryLine({ passed: 12, failed: 1, skipped: 2 })).toBe('12 passed, 1 failed, 2 skipped')
  })
})
