/**
 * A mutant is a known mistake, written as a change of source text that is made while the file is
 * loaded. Production code has no switch for it. Invariant: a patch fits its file exactly once, or
 * nothing is run at all: a mutant that changes nothing would be caught by nobody and prove nothing.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from '../../common/assert.ts';
import type { BugId } from './bugs.ts';

export interface Patch {
  /** From the root of the project, with `/`. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Mutant {
  /** The id of its bug, with a letter where a bug has several forms. */
  readonly id: string;
  readonly bugs: readonly BugId[];
  /** What the mutated code does, as a sentence about it. */
  readonly title: string;
  readonly patches: readonly Patch[];
  /** Test files of which at least one must fail. */
  readonly tests: readonly string[];
}

export const ROOT = join(import.meta.dirname, '../../..');

/** The text of `file` as the mutant has it; unchanged where the mutant leaves that file alone. */
export function mutate(mutant: Mutant, file: string, source: string): string {
  let text = source;
  for (const patch of mutant.patches) {
    if (patch.file !== file) continue;
    const parts = text.split(patch.find);
    assert(
      parts.length === 2,
      `mutant ${mutant.id}: a patch fits ${file} ${parts.length - 1} times instead of once`,
    );
    text = parts.join(patch.replace);
  }
  return text;
}

/** Makes sure that every patch of the mutant fits, before anything is run with it. */
export function checkFits(mutant: Mutant): void {
  for (const { file } of mutant.patches) {
    const source = readFileSync(join(ROOT, file), 'utf8');
    assert(mutate(mutant, file, source) !== source, `mutant ${mutant.id} changes ${file}`);
  }
}
