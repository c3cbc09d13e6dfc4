import { basename } from 'node:path';
import TestRunner from 'jest-runner';

/**
 * Most stories wait more than they work, so several run at once, in this order. Those that measure how long
 * somebody waits, or that members are left in peace, run one at a time: beside others they would measure how slow
 * the machine is.
 */
const TOGETHER = [
  {
    workers: 3,
    stories: [...['heal', 'kube-conformance', 'uninstall'], ...['broken', 'charts', 'schema']],
  },
  { workers: 1, stories: ['install', 'quiet', 'operator-faults', 'rolls', 'disruption'] },
];
/**
 * One at a time: no other cluster may be there while one operator looks after all namespaces, and no other story
 * while nodes are taken away. `rights` looks at what all the others have done.
 */
export const ALONE = ['install-manifest', 'power-cut', 'node-faults', 'rights'];
const PHASES = [...TOGETHER, { workers: 1, stories: ALONE }];
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
