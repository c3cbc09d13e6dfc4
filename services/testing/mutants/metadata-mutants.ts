/** Mistakes in the replicated state of a coordinator: how commands are applied, and how rows are kept and found. */
import type { Mutant } from './mutant.ts';

const LEVEL = 'services/coordinator/level-metadata-store.ts';
const LEVEL_TEST = 'services/coordinator/level-metadata-store.test.ts';
const KNOWN_KEYS = 'services/coordinator/known-keys.ts';
const KNOWN_KEYS_TEST = 'services/coordinator/known-keys.test.ts';
const APPLY_TEST = 'services/metadata/apply.test.ts';
const MODEL_TEST = 'services/metadata/model.test.ts';

export const METADATA_MUTANTS: readonly Mutant[] = [
  {
    id: 'R29c',
    bugs: ['R29'],
    title: 'a command that is proposed twice takes effect twice',
    patches: [
      {
        file: 'services/metadata/commit.ts',
        find: 'if (settled !== undefined) return settled;',
        replace: '',
      },
    ],
    tests: [APPLY_TEST, 'services/coordinator/crash-stories.test.ts'],
  },
  {
    id: 'R30a',
    bugs: ['R30'],
    title: 'apply asks the clock of the machine',
    patches: [
      {
        file: 'services/metadata/marks.ts',
        find: 'timeMs: laterTime(marks.timeMs, command.timeMs),',
        replace: 'timeMs: Date.now(),',
      },
    ],
    tests: [APPLY_TEST, MODEL_TEST],
  },
  {
    id: 'R30b',
    bugs: ['R30'],
    title: 'apply orders copies by chance',
    patches: [
      {
        file: 'services/metadata/commit.ts',
        find: '    counted.push(copies);',
        replace: '    counted.push([...copies].sort(() => Math.random() - 0.5));',
      },
    ],
    tests: [APPLY_TEST, MODEL_TEST],
  },
  {
    id: 'R30c',
    bugs: ['R30'],
    title: 'the digest of a state depends on the order of its rows',
    patches: [
      {
        file: 'services/metadata/digest.ts',
        find: 'this.#a = (this.#a + a) >>> 0;',
        replace: 'this.#a = (Math.imul(this.#a, 31) + a) >>> 0;',
      },
    ],
    tests: [MODEL_TEST],
  },
  {
    id: 'R30d',
    bugs: ['R30'],
    title: 'a row that was read hides its change, so that apply depends on who was asked what',
    patches: [{ file: LEVEL, find: 'this.#read.forget(name);', replace: '' }],
    tests: [LEVEL_TEST],
  },
  {
    id: 'R31a',
    bugs: ['R31'],
    title: 'rows are stored first and their applied index afterwards',
    patches: [
      {
        file: LEVEL,
        find: '    operations.push(...this.#chain.append(frozen.meta));\n    try {',
        replace: '    try {',
      },
      {
        file: LEVEL,
        find: 'await this.#db.batch(operations, { sync: true });',
        replace:
          'await this.#db.batch(operations, { sync: true });\n' +
          '      await this.#db.batch([...this.#chain.append(frozen.meta)], { sync: true });',
      },
    ],
    tests: [LEVEL_TEST],
  },
  {
    id: 'R31b',
    bugs: ['R31'],
    title: 'a flush stands for more than the log holds',
    patches: [
      {
        file: 'services/coordinator/metadata-flusher.ts',
        find: 'if (frozen === null || frozen.point.index > this.#logDurable) return;',
        replace: 'if (frozen === null) return;',
      },
    ],
    tests: ['services/coordinator/metadata-machine.test.ts'],
  },
  {
    id: 'S10b',
    bugs: ['S10'],
    title: 'keys that come while all are being read are not in the filter that results',
    patches: [{ file: KNOWN_KEYS, find: 'this.#learning?.add(hash);', replace: '' }],
    tests: [KNOWN_KEYS_TEST, LEVEL_TEST],
  },
  {
    id: 'S10c',
    bugs: ['S10'],
    title: 'rows are denied before all keys have been read',
    patches: [
      {
        file: KNOWN_KEYS,
        find: 'return this.#known === null || this.#known.mayHave(keyHash(key));',
        replace: 'return this.#known?.mayHave(keyHash(key)) ?? false;',
      },
    ],
    tests: [KNOWN_KEYS_TEST, LEVEL_TEST],
  },
];
