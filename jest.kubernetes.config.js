import config from './jest.config.js';

const [first] = config.projects;

/** Stories on a real Kubernetes: `npm run e2e:kubernetes` finds or starts one and runs these. */
export default {
  ...first,
  displayName: 'kubernetes',
  testMatch: ['<rootDir>/e2e/kubernetes/**/*.test.ts'],
  testTimeout: 300_000,
  runner: '<rootDir>/jest.kubernetes.runner.js',
};
