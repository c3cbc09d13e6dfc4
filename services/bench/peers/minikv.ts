/** minikv itself, built as it ships, with every default: fsync always, three copies. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { run } from '../../../e2e/kubernetes/cluster/run.ts';
import { planOf } from '../../cli/local-plan.ts';
import { MIB, MINUTE_MS } from '../../common/units.ts';
import { VERSION } from '../../common/version.ts';
import { COPIES, type Door, type Installed, type Peer, type Site, targetsAt } from './peer.ts';
import { jsonOf } from './single.ts';

const ROOT = join(import.meta.dirname, '../../..');
const DIST = join(ROOT, 'dist');
const BUILD_MS = 5 * MINUTE_MS;
/** What `minikv local` starts its processes with. */
const V8_FLAGS = ['--initial-old-space-size=96'];

export const minikv: Peer = {
  name: 'minikv',
  async install({ say, signal }) {
    say('building minikv ...');
    await run(process.execPath, [join(ROOT, 'image/build.ts'), '--outDir', DIST], {
      cwd: ROOT,
      timeoutMs: BUILD_MS,
      signal,
    });
    const folder = join(DIST, 'services');
    return new InstalledMinikv(folder);
  },
};

class InstalledMinikv implements Installed {
  readonly version = VERSION;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  processes({ folder, basePort }: Site) {
    const program = (room: string): readonly string[] => [
      process.execPath,
      ...V8_FLAGS,
      join(this.#folder, room, 'main.js'),
    ];
    const sizes = { coordinators: COPIES.length, volumes: COPIES.length };
    return planOf(
      { ...sizes, basePort, dataDir: folder, logLevel: 'info' },
      { coordinator: program('coordinator'), volume: program('volume') },
    );
  }

  open(site: Site): Promise<readonly Door[]> {
    const targets = targetsAt(site.basePort, COPIES.length, 2);
    const prefixes = [`/kv/bench/${randomBytes(4).toString('hex')}/`];
    const dialect = { kind: 'paths', prefixes, suffix: '' } as const;
    const durability =
      'synced on a majority of logs before the answer, values beyond 2 KiB on volumes as well';
    return Promise.resolve([
      { name: 'minikv', dialect, targets, durability },
      {
        name: 'minikv, redirect',
        dialect: { ...dialect, getQuery: '?redirect=1', follows: true },
        targets,
        durability: `${durability}; GETs of what volumes hold are redirected to one`,
        isFor: ({ workload, sizeBytes }) => workload === 'get' && sizeBytes >= MIB,
      },
    ]);
  }

  async leader({ basePort }: Site): Promise<string> {
    for (const target of targetsAt(basePort, COPIES.length, 2)) {
      const status = await jsonOf(target, '/admin/status').catch(() => null);
      if (status?.['is_leader'] === true) return String(status['name']);
    }
    throw new Error('minikv has no leader');
  }
}
