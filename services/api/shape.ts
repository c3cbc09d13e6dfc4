/** From unknown JSON to a typed request, or one sentence that names the field at fault. */
import type { z } from 'zod';
import { KvError } from '../common/errors.ts';

/** A shape of this room, as others hand it on. */
export type Shape<T> = z.ZodType<T>;

/** @throws KvError `INVALID_ARGUMENT` naming the first field that does not fit. */
export function checkShape<T>(schema: Shape<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const where = issue === undefined ? '' : issue.path.map(String).join('.');
  throw new KvError(
    'INVALID_ARGUMENT',
    `${where || 'the body'}: ${issue?.message ?? 'wrong shape'}`,
  );
}
