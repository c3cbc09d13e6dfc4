/**
 * Rules that need more than one field, or the old value. The API server judges them as CEL; those
 * about one object alone are judged here too, so that an object that came another way (a file, a
 * CRD of another version) meets the same sentences.
 */
import type { z } from 'zod';

export interface Rule<T> {
  /** CEL over `self`, and `oldSelf` where the rule is about a change. */
  readonly cel: string;
  /** What the user reads; says what to do. */
  readonly sentence: string;
  /** The same judgement of one value; absent where the rule is about a change. */
  readonly holds?: (value: T) => boolean;
}

/** The schema with its rules: checked when it parses, written into the CRD by the generator. */
export function ruled<S extends z.ZodType>(schema: S, rules: readonly Rule<z.output<S>>[]): S {
  const checked = rules.reduce((sofar, { holds, sentence }) => {
    return holds === undefined ? sofar : sofar.refine(holds, { error: sentence });
  }, schema);
  return checked.meta({
    'x-kubernetes-validations': rules.map(({ cel, sentence }) => ({
      rule: cel,
      message: sentence,
    })),
  });
}
