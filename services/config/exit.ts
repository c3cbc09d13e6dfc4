/** Exit codes of the server processes, and the last line that says why. */
import { KvError } from '../common/errors.ts';
import { environmentOf, flagOf } from './fields.ts';
import type { Inputs } from './role.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
/** EX_CONFIG of sysexits.h: the folder or the settings are another node's; restarting cannot help. */
const EXIT_CONFIG = 78;

export function exitCodeOf(error: Error): number {
  if (!(error instanceof KvError)) return EXIT_FAILED;
  if (error.code === 'INVALID_ARGUMENT') return EXIT_USAGE;
  if (error.code === 'IDENTITY_MISMATCH' || error.code === 'WRONG_CLUSTER') return EXIT_CONFIG;
  return EXIT_FAILED;
}

/** Where the last words go when the settings themselves are refused; null: nowhere. */
export function terminationLogOf({ argv, env }: Pick<Inputs, 'argv' | 'env'>): string | null {
  const flag = flagOf('terminationLog');
  const at = argv.findIndex((word) => word === flag || word.startsWith(`${flag}=`));
  const given = argv[at] === flag ? argv[at + 1] : argv[at]?.slice(flag.length + 1);
  return given ?? env[environmentOf('terminationLog')] ?? null;
}

/** The one line that a tired operator reads. */
export const lastWords = (program: string, error: Error): string =>
  `${program}: ${error.message}${error instanceof KvError ? ` (${error.code})` : ''}\n`;
