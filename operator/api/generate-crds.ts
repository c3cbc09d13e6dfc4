/** `npm run crds` writes the CustomResourceDefinition; `npm run crds:check` compares. */
import { crdFile } from './crd.ts';
import { settleFiles } from './generated-files.ts';

process.exitCode = settleFiles([crdFile()], process.argv.slice(2));
