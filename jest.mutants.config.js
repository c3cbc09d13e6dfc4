import config from './jest.config.js';

const [unit] = config.projects;
const [[pattern, [, options]]] = Object.entries(unit.transform);

/** The unit tests on mutated code: `npm run mutants` starts this once a mutant. */
export default {
  ...unit,
  displayName: 'mutants',
  transform: { [pattern]: ['<rootDir>/jest.mutants.transform.js', options] },
};
