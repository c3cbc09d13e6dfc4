/**
 * Running a program of the machine to its end: arguments are never seen by a shell, every wait has
 * a bound, and a failure says what was run and what it answered.
 */
import { spawn } from 'node:child_process';

export interface RunOptions {
  readonly input?: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** Ends it by SIGKILL when it aborts. */
  readonly signal?: AbortSignal;
}

const TIMEOUT_MS = 60_000;

/**
 * Resolves with what the program wrote to its standard output.
 * @throws Error when it cannot start, ends with another code than 0 or outlives `timeoutMs`.
 */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    timeout: options.timeoutMs ?? TIMEOUT_MS,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    killSignal: 'SIGKILL',
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (bytes: Buffer) => out.push(bytes));
  child.stderr.on('data', (bytes: Buffer) => err.push(bytes));
  // A program that ends without reading its input is judged by its code, not by the broken pipe.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  const ending = await new Promise<string>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      resolve(signal ?? String(code));
    });
  });
  const text = Buffer.concat(out).toString();
  if (ending === '0') return text;
  const said = (Buffer.concat(err).toString() + text).trim().slice(-2_000);
  throw new Error(`${program} ${args.join(' ')} ended with ${ending}: ${said}`);
}

/** Like `run`, for what may fail without harm; answers undefined then. */
export async function attempt(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string | undefined> {
  try {
    return await run(program, args, options);
  } catch {
    return undefined;
  }
}
