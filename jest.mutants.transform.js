import { relative, sep } from 'node:path';
import swc from '@swc/jest';
import { chosenMutant } from './services/testing/mutants/catalogue.ts';
import { mutate, ROOT } from './services/testing/mutants/mutant.ts';

const mutant = chosenMutant();

/** The transform of jest.config.js, told the text that the mutant has: its cache knows them apart. */
export default {
  createTransformer(options) {
    const { process, processAsync, getCacheKey, ...rest } = swc.createTransformer(options);
    const patched = (call) => (source, path, context) => {
      const file = relative(ROOT, path).replaceAll(sep, '/');
      return call(mutant === null ? source : mutate(mutant, file, source), path, context);
    };
    return {
      ...rest,
      process: patched(process),
      processAsync: patched(processAsync),
      getCacheKey: patched(getCacheKey),
    };
  },
};
