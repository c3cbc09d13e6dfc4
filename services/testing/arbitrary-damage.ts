/** Bytes that were right once: for readers that must refuse what decay, a cut or a liar makes of them. */
import fc from 'fast-check';
import { type ErrorCode, KvError } from '../common/errors.ts';

interface Change {
  readonly kind: 'flip' | 'cut' | 'insert' | 'remove' | 'length' | 'swap';
  readonly at: number;
  readonly value: number;
}

const change: fc.Arbitrary<Change> = fc.record({
  kind: fc.constantFrom('flip', 'cut', 'insert', 'remove', 'length', 'swap'),
  at: fc.nat(),
  value: fc.oneof(fc.nat(255), fc.nat(2 ** 31 - 1), fc.constantFrom(0, 2 ** 31 - 1, 2 ** 32 - 1)),
});

/** One to four changes; for large bytes, of which a report should not hold all. */
export const anyDamage: fc.Arbitrary<readonly Change[]> = fc.array(change, {
  minLength: 1,
  maxLength: 4,
});

export const harmed = (bytes: Uint8Array, damage: readonly Change[]): Buffer =>
  damage.reduce(changed, Buffer.from(bytes));

/** Bytes that were sound before some changes. */
export const damaged = (sound: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Buffer> =>
  fc.tuple(sound, anyDamage).map(([bytes, damage]) => harmed(bytes, damage));

/** Damaged bytes, or noise that never was any. */
export const hostile = (sound: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Buffer> =>
  fc.oneof(
    { weight: 4, arbitrary: damaged(sound) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)) },
  );

function changed(bytes: Buffer, { kind, at, value }: Change): Buffer {
  const place = at % (bytes.length + 1);
  const before = bytes.subarray(0, place);
  switch (kind) {
    case 'cut':
      return before;
    case 'insert':
      return Buffer.concat([before, Buffer.of(value & 0xff), bytes.subarray(place)]);
    case 'remove':
      return Buffer.concat([before, bytes.subarray(place + 1)]);
    case 'flip':
      return Buffer.from(bytes.map((byte, i) => (i === place ? byte ^ (1 << (value & 7)) : byte)));
    case 'swap':
      return Buffer.concat([bytes.subarray(place), before]);
    case 'length': {
      // As a liar would: a count or a length that promises more than there is.
      const copy = Buffer.from(bytes);
      if (place + 4 <= copy.length) copy.writeUInt32LE(value, place);
      return copy;
    }
  }
}

/** What a reader makes of its input, or undefined where it refuses with one of the codes. */
export function valueOr<T>(codes: readonly ErrorCode[], read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof KvError && codes.includes(error.code)) return undefined;
    throw error;
  }
}

/** The same for a reader that waits for a disk. */
export async function awaitedOr<T>(
  codes: readonly ErrorCode[],
  read: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof KvError && codes.includes(error.code)) return undefined;
    throw error;
  }
}
