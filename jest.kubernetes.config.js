import config from './jest.config.js';
import { ALONE } from './jest.kubernetes.runner.js';

const [first] = config.projects;
const folder = '<rootDir>/e2e/kubernetes';

/** `STORIES=together`: those that leave each other alone; `STORIES=alone`: the others; else all. */
const CHOICES = {
  together: { testPathIgnorePatterns: ALONE.map((story) => `/${story}\\.test\\.ts$`) },
  alone: { testMatch: ALONE.map((story) => `${folder}/${story}.test.ts`) },
};

/** Stories on a real Kubernetes: `npm run e2e:kubernetes` finds or starts one and runs these. */
export default {
  ...first,
  displayName: 'kubernetes',
  testMatch: [`${folder}/**/*.test.ts`],
  testTimeout: 300_000,
  runner: '<rootDir>/jest.kubernetes.runner.js',
  ...CHOICES[process.env.STORIES],
};
