import config, { SIMULATED_FAULTS } from './jest.config.js';

const [first] = config.projects;

/**
 * A death at every step of a write and at every failpoint, and the protocol, every interleaving; chaos, deaths
 * by SIGKILL, power loss and a release without failpoints on real processes. CI runs them beside `npm test`.
 */
export default {
  ...first,
  displayName: 'faults',
  testMatch: [...SIMULATED_FAULTS, '<rootDir>/e2e/faults/**/*.test.ts'],
  testTimeout: 120_000,
  maxWorkers: 2,
};
