import { basename } from 'node:path';
import TestRunner from 'jest-runner';

/**
 * Stories that want the machine for themselves: they measure how long something takes, take nodes
 * away, or look after the clusters of all namespaces. `rights` looks at what all others have done.
 */
const ALONE = [
  'disruption',
  'install',
  'install-manifest',
  'node-faults',
  'operator-faults',
  'power-cut',
  'rolls',
  'rights',
];
/** Begins before the others and mostly waits. */
const FIRST = 'quiet';

const nameOf = ({ path }) => basename(path, '.test.ts');
const placeOf = (test) => ALONE.indexOf(nameOf(test));

/** All others two at a time, and then those one by one. */
export default class Runner extends TestRunner {
  async runTests(tests, watcher, options) {
    const together = tests
      .filter((test) => placeOf(test) < 0)
      .toSorted((a, b) => Number(nameOf(b) === FIRST) - Number(nameOf(a) === FIRST));
    const alone = tests
      .filter((test) => placeOf(test) >= 0)
      .toSorted((a, b) => placeOf(a) - placeOf(b));
    if (together.length > 0) await super.runTests(together, watcher, { ...options, serial: false });
    if (alone.length > 0) await super.runTests(alone, watcher, { ...options, serial: true });
  }
}
