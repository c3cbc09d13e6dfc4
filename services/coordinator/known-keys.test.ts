/**
 * Goal: a row that is in the table is never denied, whenever it came; one that is not is denied nearly always.
 * Method: the keys against a Set, with rows that come and go between any two pages of a reading.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { utf8 } from '../common/bytes.ts';
import { TABLE } from '../metadata/keys.ts';
import { KnownKeys, type ReadKeys } from './known-keys.ts';
import { nameOf } from './table-rows.ts';

const key = (table: number, name: number): Uint8Array =>
  Buffer.from([table, ...utf8(String(name))]);
const record = (name: number): Uint8Array => key(TABLE.record, name);
const atOnce = (): Promise<void> => Promise.resolve();

/** A table of keys in byte order. */
class Keys {
  readonly names = new Set<string>();
  readonly read: ReadKeys = ({ gte, lt, limit }) => {
    const names = [...this.names].filter((name) => name >= nameOf(gte) && name < nameOf(lt));
    const page = names.sort().slice(0, limit);
    return Promise.resolve(page.map((name) => Buffer.from(name, 'latin1')));
  };
}

const numbers = { min: 0, max: 5000 };

describe('the keys of the rows', () => {
  test('none is denied, whatever comes and goes while they are read', async () => {
    const change = fc.record({ name: fc.integer(numbers), comes: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.integer(numbers), { maxLength: 4000, size: 'max' }),
        fc.array(fc.array(change, { maxLength: 200, size: 'max' }), { maxLength: 6, size: 'max' }),
        async (stored, turns) => {
          const known = new KnownKeys();
          const table = new Keys();
          for (const name of stored) table.names.add(nameOf(record(name)));
          let turn = 0;
          const pause = (): Promise<void> => {
            for (const { name, comes } of turns[turn] ?? []) {
              if (comes) known.add(record(name));
              else known.removed(record(name));
              if (comes) table.names.add(nameOf(record(name)));
              else table.names.delete(nameOf(record(name)));
            }
            turn += 1;
            return Promise.resolve();
          };
          await known.learn(table.read, [], pause);
          await pause();
          for (const name of table.names) {
            expect(known.mayHave(Buffer.from(name, 'latin1'))).toBe(true);
          }
        },
      ),
      { numRuns: 15 },
    );
  });

  test('what waits to be written when the reading begins is known after it', async () => {
    const known = new KnownKeys();
    await known.learn(new Keys().read, [record(1)], atOnce);
    expect(known.mayHave(record(1))).toBe(true);
    expect(known.mayHave(record(2))).toBe(false);
  });

  test('nothing is denied before all have been read', async () => {
    const known = new KnownKeys();
    const table = new Keys();
    for (let name = 0; name < 3000; name += 1) table.names.add(nameOf(record(name)));
    let isPaused = false;
    await known.learn(table.read, [], () => {
      isPaused = true;
      expect(known.mayHave(record(999_999))).toBe(true);
      return Promise.resolve();
    });
    expect(isPaused).toBe(true);
    expect(known.mayHave(record(999_999))).toBe(false);
  });

  test('of more than the first filter takes, few that are not there are taken for one', async () => {
    const known = new KnownKeys(1000);
    await known.learn(new Keys().read, [], atOnce);
    for (let name = 0; name < 30_000; name += 1) known.add(record(2 * name));
    let wrong = 0;
    for (let name = 0; name < 30_000; name += 1) {
      if (!known.mayHave(record(2 * name))) throw new Error(`${2 * name} is denied`);
      if (known.mayHave(record(2 * name + 1))) wrong += 1;
    }
    expect(wrong).toBeLessThan(1200);
  });

  test('rows of every table that is asked one by one are read, and not those of the queue', async () => {
    const known = new KnownKeys();
    const table = new Keys();
    const asked = [TABLE.record, TABLE.garbage, TABLE.thin, TABLE.idempotency];
    for (const of of [...asked, TABLE.queue]) table.names.add(nameOf(key(of, 1)));
    await known.learn(table.read, [], atOnce);
    expect(asked.map((of) => known.mayHave(key(of, 1)))).toEqual(asked.map(() => true));
    expect(known.mayHave(key(TABLE.queue, 1))).toBe(false);
  });

  test('once most rows have gone they are worth another reading, and are forgotten by it', async () => {
    const known = new KnownKeys();
    const table = new Keys();
    await known.learn(table.read, [], atOnce);
    known.add(record(1));
    known.add(record(2));
    table.names.add(nameOf(record(2)));
    for (let gone = 0; gone < 1_048_575; gone += 1) known.removed(record(1));
    // Nobody ever asks for a row of the queue.
    known.removed(key(TABLE.queue, 1));
    expect(known.isStale).toBe(false);
    known.removed(record(1));
    expect(known.isStale).toBe(true);
    await known.learn(table.read, [], atOnce);
    expect(known.isStale).toBe(false);
    expect(known.mayHave(record(1))).toBe(false);
    expect(known.mayHave(record(2))).toBe(true);
  });
});
