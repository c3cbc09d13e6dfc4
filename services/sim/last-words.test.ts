import type { EventEmitter } from 'node:events';
import { runInThisContext } from 'node:vm';
import { expect, test } from '@jest/globals';
import { LastWords } from './last-words.ts';

const NAME = 'unhandledRejection';

test('hears instead of whoever listened, who listens again afterwards as before', () => {
  const machine = runInThisContext('process') as EventEmitter;
  const told: unknown[] = [];
  const other = (thrown: unknown): void => void told.push(thrown);
  machine.on(NAME, other);
  try {
    const before = machine.rawListeners(NAME);
    for (let simulation = 1; simulation <= 2; simulation += 1) {
      const heard: string[] = [];
      const words = new LastWords();
      words.listen(({ message }) => heard.push(message));
      machine.emit(NAME, new Error('ouch'));
      words.stopListening();
      expect([heard, told]).toEqual([['ouch'], []]);
      // The very same: wrapped anew each time they would hold every simulation that there was.
      expect(machine.rawListeners(NAME)).toEqual(before);
    }
  } finally {
    machine.off(NAME, other);
  }
});
