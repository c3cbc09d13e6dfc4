/** Look-ups in the filter that stands before an index partition: absent keys should end there. */
import { bloomAdd, bloomMayHave, bloomWords } from '../../../common/bloom.ts';
import { seededRandom } from '../../../common/random.ts';
import { type MicroCase, mustHold, type Stage, type Work } from '../micro-case.ts';

const DRAWN = 4096;
/** About 1 in 100 absent keys is not denied. */
const WRONG_SHARE_MAX = 0.05;

const shared = { of: 'look-up', perStep: 1, onDisk: false };
export const BLOOM_CASES: readonly MicroCase[] = [
  {
    ...shared,
    name: 'bloom: an absent key of 1,000,000',
    open: (stage) => bloomWork(stage, false),
  },
  { ...shared, name: 'bloom: a present key of 1,000,000', open: (stage) => bloomWork(stage, true) },
];

function bloomWork({ stored }: Stage, isPresent: boolean): Work {
  const random = seededRandom(5);
  const draw = (): number => random.below(2 ** 32) | 0;
  const keys = Int32Array.from({ length: 2 * stored }, draw);
  const filter = new Int32Array(bloomWords(stored));
  for (let at = 0; at < keys.length; at += 2) {
    bloomAdd(filter, keys[at] ?? 0, (keys[at + 1] ?? 0) | 1);
  }
  const asked = Int32Array.from({ length: 2 * DRAWN }, draw);
  if (isPresent) {
    for (let at = 0; at < asked.length; at += 2) {
      const from = 2 * random.below(stored);
      asked.set(keys.subarray(from, from + 2), at);
    }
  }
  const lookUp = (steps: number): number => {
    let found = 0;
    for (let i = 0; i < steps; i += 1) {
      const at = 2 * (i % DRAWN);
      if (bloomMayHave(filter, asked[at] ?? 0, (asked[at + 1] ?? 0) | 1)) found += 1;
    }
    return found;
  };
  const found = lookUp(DRAWN);
  mustHold(isPresent ? found === DRAWN : found < DRAWN * WRONG_SHARE_MAX, `${found} were found`);
  return {
    run(steps) {
      mustHold(lookUp(steps) <= steps, 'more was found than was asked for');
    },
  };
}
