/** What a command talks to: streams, environment, and how it prints. Tests pass their own. */
import type { Readable, Writable } from 'node:stream';
import { asError, KvError } from '../common/errors.ts';

export interface Terminal {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** True where a person looks at stderr: progress bars are drawn. */
  readonly interactive: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export type OutputForm = 'text' | 'json';

/** The result of a command on stdout: its JSON, or the text that says the same. */
export function printResult(
  terminal: Terminal,
  form: OutputForm,
  result: { readonly json: unknown; readonly text: string },
): void {
  terminal.stdout.write(form === 'json' ? `${JSON.stringify(result.json)}\n` : `${result.text}\n`);
}

/** One line on stderr. */
export function complain(terminal: Terminal, sentence: string): void {
  terminal.stderr.write(`minikv: ${sentence.replaceAll('\n', ' ')}\n`);
}

/** `<sentence> (CODE)` of anything thrown; a fault of the system is `FAILED`. */
export function describeError(thrown: unknown): string {
  const error = asError(thrown);
  return `${error.message} (${error instanceof KvError ? error.code : 'FAILED'})`;
}

/** Columns padded to their widest cell. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    }
  }
  return rows
    .map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
    .map((line) => line.trimEnd())
    .join('\n');
}
