/** JSON answers, read whole within a bound and checked by their schema. */
import { KvError } from '../common/errors.ts';
import { MIB } from '../common/units.ts';
import type { HttpAnswer } from './http.ts';

/** What a schema does for us: the value, or an exception. */
export interface Decoder<T> {
  readonly parse: (json: unknown) => T;
}

const JSON_BYTES_MAX = 64 * MIB;

/** @throws KvError `INVALID_JSON` when the answer is not what the schema says. */
export async function readJson<T>(answer: HttpAnswer, schema: Decoder<T>): Promise<T> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of answer.body) {
    bytes += piece.length;
    if (bytes > JSON_BYTES_MAX) throw new KvError('TOO_LARGE', 'the answer is too large to read');
    pieces.push(piece);
  }
  try {
    return schema.parse(JSON.parse(Buffer.concat(pieces).toString('utf8')));
  } catch (cause) {
    throw new KvError('INVALID_JSON', 'the server answered something that is not understood', {
      cause,
    });
  }
}
