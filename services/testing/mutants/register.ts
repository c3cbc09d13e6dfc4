/**
 * Preloaded by `node --import`: with MINIKV_MUTANT set, patches the files of that mutant as they are
 * loaded. Patches are of TypeScript, and Node strips the types of the patched text as of any other.
 */
import { registerHooks } from 'node:module';
import { relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chosenMutant } from './catalogue.ts';
import { mutate, ROOT } from './mutant.ts';

const mutant = chosenMutant();
if (mutant !== null) {
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const { source } = loaded;
      if (!url.startsWith('file:') || source === undefined || source === null) return loaded;
      const file = relative(ROOT, fileURLToPath(url)).replaceAll(sep, '/');
      if (!mutant.patches.some((patch) => patch.file === file)) return loaded;
      const text = typeof source === 'string' ? source : new TextDecoder().decode(source);
      return { ...loaded, source: mutate(mutant, file, text) };
    },
  });
}
