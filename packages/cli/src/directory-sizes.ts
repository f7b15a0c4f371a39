import { Option } from 'commander'

/** The option of every command that makes directories (DESIGN decision 2). */
export function directorySizesOption(): Option {
  return new Option(
    '--directory-sizes <rule>',
    'count entries once, or twice for stores shared with Tvix and old Snix',
  )
    .choices(['once', 'twice'])
    .default('once')
    .env('NEVE_DIRECTORY_SIZES')
}
