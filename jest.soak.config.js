import config from './jest.config.js';

const [first] = config.projects;

/** The long stories on real processes: for a quiet machine, beside `npm test`. */
export default { ...first, displayName: 'soak', testMatch: ['<rootDir>/e2e/soak/**/*.test.ts'] };
