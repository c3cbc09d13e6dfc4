/** Text of settings: sizes and durations come back as they were written, any text is a value or refused. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  addressList,
  bindAddress,
  duration,
  durationText,
  fsync,
  label,
  milliseconds,
  namedAddresses,
  namespaceList,
  path,
  processName,
  size,
  sizeText,
  splitAddress,
  wholeNumber,
} from './fields.ts';
import { readSettingsFile } from './sources.ts';

const MAX = Number.MAX_SAFE_INTEGER;

test('a size and a duration are read back from their own text', () => {
  fc.assert(
    fc.property(fc.nat(10 ** 15 - 1), fc.nat(10 ** 12 - 1), (bytes, ms) => {
      expect(size(0, MAX).parse(sizeText(bytes))).toBe(bytes);
      expect(duration(0, MAX).parse(durationText(ms))).toBe(ms);
    }),
    { numRuns: 300 },
  );
});

test('units multiply, and what lies outside of the bounds is refused', () => {
  const units = { '': 1, B: 1, Ki: 2 ** 10, MiB: 2 ** 20, Gi: 2 ** 30, TiB: 2 ** 40 };
  const unit = fc.constantFrom(...(Object.keys(units) as (keyof typeof units)[]));
  fc.assert(
    fc.property(fc.nat(9999), unit, fc.nat(2 ** 40), (count, name, max) => {
      const bytes = count * units[name];
      const read = size(0, max).safeParse(`${count}${name}`);
      expect(read.success ? read.data : null).toBe(bytes <= max ? bytes : null);
    }),
  );
});

const schemas = {
  wholeNumber: wholeNumber(0, 100),
  size: size(1, MAX),
  duration: duration(0, MAX),
  milliseconds: milliseconds(0, MAX),
  processName: processName(),
  namespaceList: namespaceList(),
  label: label(),
  path: path(),
  bindAddress: bindAddress(),
  addressList: addressList(),
  namedAddresses: namedAddresses(),
  fsync: fsync(),
};

test.each(Object.entries(schemas))('%s: any text is a value or a sentence', (_, schema) => {
  const likely = fc.stringMatching(/^[a-z]{0,8}[=:]?\[?[0-9.]{0,20}\]?:?\d{0,6}(ms|s|Ki|Ti|,|=)?$/);
  fc.assert(
    fc.property(fc.oneof(likely, fc.string({ unit: 'binary', maxLength: 60 })), (text) => {
      const read = schema.safeParse(text);
      if (!read.success) {
        expect(read.error.issues.map(({ message }) => message)).toEqual([
          expect.stringMatching(/^must be /),
        ]);
      } else if (typeof read.data === 'number') {
        expect(Number.isSafeInteger(read.data) && read.data >= 0).toBe(true);
      }
    }),
    { numRuns: 200 },
  );
});

test('an address is host and port, or none', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z0-9.[\]:]{0,20}:\d{1,6}$/), (text) => {
      const parts = splitAddress(text);
      if (parts !== null)
        expect(`${parts.host}:${parts.port}`.length).toBeLessThanOrEqual(text.length);
    }),
  );
});

test('a settings file of any content is read or refused, never thrown at', () => {
  const content = fc.oneof(fc.json(), fc.string({ unit: 'binary', maxLength: 80 }));
  fc.assert(
    fc.property(content, (text) => {
      const { given, problems } = readSettingsFile('/x.json', text, []);
      expect(given.size).toBe(0);
      expect(problems.every((problem) => typeof problem === 'string')).toBe(true);
    }),
  );
});
