/** Garbage collection at once, for tests of what is let go of. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as (options?: { readonly type: 'minor' }) => void;

/** Collects everything. */
export const collectGarbage = (): void => collect();

/** Collects young objects alone. */
export const collectYoung = (): void => collect({ type: 'minor' });
