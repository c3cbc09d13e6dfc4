import { basename } from 'node:path';
import TestRunner from 'jest-runner';

/**
 * Stories wait more than they work, so several run at once, those of a phase in this order. Two at a time
 * where they measure how long clients wait; one where nodes are taken away, or where the clusters of all
 * namespaces are looked after. `rights` looks at what all the others have done.
 */
const PHASES = [
  {
    workers: 3,
    stories: ['quiet', 'uninstall', 'broken', 'kube-conformance', 'heal', 'charts', 'cluster'],
  },
  { workers: 2, stories: ['rolls', 'operator-faults', 'disruption', 'install'] },
  { workers: 1, stories: ['power-cut', 'node-faults', 'install-manifest', 'rights'] },
];
/** What is in no list goes with the first. */
const PHASE_OF = new Map(
  PHASES.flatMap(({ stories }, phase) => stories.map((story) => [story, phase])),
);

const storyOf = ({ path }) => basename(path, '.test.ts');

export default class Runner extends TestRunner {
  async runTests(tests, watcher, options) {
    for (const [phase, { workers, stories }] of PHASES.entries()) {
      const place = (test) => {
        const at = stories.indexOf(storyOf(test));
        return at < 0 ? stories.length : at;
      };
      const chosen = tests
        .filter((test) => (PHASE_OF.get(storyOf(test)) ?? 0) === phase)
        .toSorted((a, b) => place(a) - place(b));
      if (chosen.length === 0) continue;
      this._globalConfig = { ...this._globalConfig, maxWorkers: workers };
      await super.runTests(chosen, watcher, { ...options, serial: workers === 1 });
    }
  }
}
