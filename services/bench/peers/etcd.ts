/** etcd: three members with its defaults, which sync every batch before they answer. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { GIB, MIB } from '../../common/units.ts';
import { goProgram } from './install.ts';
import {
  COPIES,
  type Door,
  HOST,
  type Installed,
  type Peer,
  type ProcessPlan,
  type Site,
  targetsAt,
} from './peer.ts';
import { jsonOf } from './single.ts';

/** Its own limit of a request is 1.5 MiB, the key included. */
const VALUE_BYTES_MAX = 1.25 * MIB;
/** The largest that etcd advises; at its default of 2 GiB it would refuse writes in the middle. */
const QUOTA_BYTES = 8 * GIB;
const PEER_PORTS = 100;

export const etcd: Peer = {
  name: 'etcd',
  async install(workshop) {
    const { path, version } = await goProgram(
      {
        module: 'etcd',
        package: 'go.etcd.io/etcd/server/v3',
        name: 'etcd',
        versionOf: 'go.etcd.io/etcd/server/v3',
      },
      workshop,
    );
    const generator = await goProgram(
      {
        module: 'etcd',
        package: './native',
        name: 'etcd-load',
        versionOf: 'go.etcd.io/etcd/client/v3',
      },
      workshop,
    );
    return new InstalledEtcd({ program: path, generator: generator.path }, version);
  },
};

class InstalledEtcd implements Installed {
  readonly version: string;
  readonly #paths: { readonly program: string; readonly generator: string };

  constructor(paths: { readonly program: string; readonly generator: string }, version: string) {
    this.#paths = paths;
    this.version = version;
  }

  processes({ folder, basePort }: Site): readonly ProcessPlan[] {
    const client = (copy: number): string => `http://${HOST}:${basePort + copy}`;
    const peer = (copy: number): string => `http://${HOST}:${basePort + PEER_PORTS + copy}`;
    const cluster = COPIES.map((copy) => `e${copy}=${peer(copy)}`).join(',');
    return COPIES.map((copy) => ({
      name: `e${copy}`,
      command: [
        ...[this.#paths.program, '--name', `e${copy}`, '--data-dir', join(folder, `e${copy}`)],
        ...['--listen-client-urls', client(copy), '--advertise-client-urls', client(copy)],
        ...['--listen-peer-urls', peer(copy), '--initial-advertise-peer-urls', peer(copy)],
        ...['--initial-cluster', cluster, '--quota-backend-bytes', String(QUOTA_BYTES)],
        ...['--log-level', 'warn'],
      ],
    }));
  }

  open({ basePort }: Site): Promise<readonly Door[]> {
    const prefix = `bench/${randomBytes(4).toString('hex')}/`;
    const shared = {
      targets: targetsAt(basePort + 1, COPIES.length, 1),
      valueBytesMax: VALUE_BYTES_MAX,
    };
    const durability = 'synced on a majority before the answer';
    return Promise.resolve([
      {
        ...shared,
        name: 'etcd',
        dialect: { kind: 'etcd', prefix: `${prefix}json/` },
        durability: `${durability}; asked through its JSON gateway`,
      },
      {
        ...shared,
        name: 'etcd, gRPC',
        dialect: { kind: 'etcd', prefix: `${prefix}grpc/` },
        durability: `${durability}; asked by its Go client, values compared as well`,
        generator: this.#paths.generator,
      },
    ]);
  }

  async leader({ basePort }: Site): Promise<string> {
    for (const copy of COPIES) {
      const target = { host: HOST, port: basePort + copy };
      const status = await jsonOf(target, '/v3/maintenance/status', '{}').catch(() => null);
      const header = status?.['header'] as Record<string, unknown> | undefined;
      if (header !== undefined && header['member_id'] === status?.['leader']) return `e${copy}`;
    }
    throw new Error('etcd has no leader');
  }
}
