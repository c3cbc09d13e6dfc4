/** kubectl as the stories use it: every call has a bound, and what it refuses is an error. */
import { run } from '../cluster/run.ts';
import { findTools } from '../cluster/tools.ts';

export interface CallOptions {
  readonly input?: string;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 30_000;

/**
 * Resolves with what kubectl wrote to its standard output.
 * @throws Error with its words when it fails or takes longer than `timeoutMs`.
 */
export async function kubectl(args: readonly string[], options: CallOptions = {}): Promise<string> {
  const { kubectl: program } = await findTools();
  return await run(program, args, { timeoutMs: TIMEOUT_MS, ...options });
}

/** Like `kubectl`, for helm. */
export async function helm(args: readonly string[], options: CallOptions = {}): Promise<string> {
  const { helm: program } = await findTools();
  return await run(program, args, { timeoutMs: TIMEOUT_MS, ...options });
}
