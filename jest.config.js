const common = {
  extensionsToTreatAsEsm: ['.ts', '.tsx'],
  testEnvironment: 'node',
  transform: {
    '^.+\\.tsx?$': [
      '@swc/jest',
      {
        jsc: { parser: { syntax: 'typescript', tsx: false }, target: 'es2024' },
        module: { type: 'es6' },
      },
    ],
  },
};

/** Long suites of the simulator, which `npm run test:faults` runs beside `npm test`. */
export const SIMULATED_FAULTS = ['crash-matrix', 'crash-stories', 'failpoints', 'model/model'].map(
  (name) => `**/services/sim/${name}.test.ts`,
);

/** `unit` stands beside the code; `local` starts real processes on loopback and helm. */
export default {
  // A bound for tests that hang, not a measure: a busy machine may be slow.
  testTimeout: 20_000,
  // Stories start whole clusters: more than two at once would fight for the cores.
  maxWorkers: 2,
  projects: [
    {
      ...common,
      displayName: 'unit',
      testMatch: [
        '<rootDir>/{services,operator,image,e2e/harness,e2e/chaos}/**/*.test.ts',
        ...SIMULATED_FAULTS.map((path) => `!${path}`),
      ],
    },
    { ...common, displayName: 'local', testMatch: ['<rootDir>/e2e/{local,charts}/**/*.test.ts'] },
  ],
};
