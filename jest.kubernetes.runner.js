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
/** The longest begin first; `quiet` mostly waits. */
const LONG = ['quiet', 'uninstall', 'broken'];

const nameOf = ({ path }) => basename(path, '.test.ts');
const placeIn = (names, test) => names.indexOf(nameOf(test));
const isAlone = (test) => placeIn(ALONE, test) >= 0;
/** By their place among the names, and then those that have none. */
const inOrder = (names, tests) => {
  const place = (test) => (placeIn(names, test) + names.length + 1) % (names.length + 1);
  return tests.toSorted((a, b) => place(a) - place(b));
};

/** All others three at a time, and then those one by one. */
export default class Runner extends TestRunner {
  async runTests(tests, watcher, options) {
    const phases = [
      [tests.filter((test) => !isAlone(test)), LONG, false],
      [tests.filter(isAlone), ALONE, true],
    ];
    for (const [chosen, order, serial] of phases) {
      if (chosen.length === 0) continue;
      await super.runTests(inOrder(order, chosen), watcher, { ...options, serial });
    }
  }
}
