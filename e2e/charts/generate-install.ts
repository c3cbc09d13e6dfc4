/** `npm run install-manifest` writes install.yaml; with `-- --check` it compares. */
import { settleFiles } from '../../operator/api/generated-files.ts';
import { installManifest } from './install-manifest.ts';

process.exitCode = settleFiles([await installManifest()], process.argv.slice(2));
