/** The second half of `npm run crds`: what the charts take from the code. */
import { settleFiles } from '../api/generated-files.ts';
import { chartFiles } from './chart-files.ts';

process.exitCode = settleFiles(chartFiles(), process.argv.slice(2));
