/**
 * minikv 2.0.1, the Rust program that this project began from: three coordinators and three volumes.
 * Only its leader takes requests.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { MIB } from '../../common/units.ts';
import { cargoPrograms } from './install.ts';
import {
  COPIES,
  type Door,
  HOST,
  type Installed,
  type Peer,
  type ProcessPlan,
  type Site,
} from './peer.ts';
import { jsonOf } from './single.ts';

const VERSION = '2.0.1';
const GRPC_PORTS = 100;
const VOLUME_PORTS = 10;
/** What its HTTP library takes of a body. */
const VALUE_BYTES_MAX = 2 * MIB;

export const minikvRust: Peer = {
  name: 'minikv-rust',
  async install(workshop) {
    const crate = { crate: 'minikv', version: VERSION, needs: ['protoc'] };
    return new InstalledMinikvRust(await cargoPrograms(crate, workshop));
  },
};

class InstalledMinikvRust implements Installed {
  readonly version = VERSION;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  processes({ folder, basePort }: Site): readonly ProcessPlan[] {
    const grpc = (port: number): string => `${HOST}:${port + GRPC_PORTS}`;
    const env = { RUST_LOG: 'warn' };
    const coordinators = COPIES.map((copy) => `http://${HOST}:${basePort + copy}`).join(',');
    return [
      ...COPIES.map((copy) => {
        const others = COPIES.filter((other) => other !== copy);
        return {
          name: `c${copy}`,
          env,
          command: [
            ...[join(this.#folder, 'minikv-coord'), 'serve', '--id', `c${copy}`],
            ...['--bind', `${HOST}:${basePort + copy}`, '--grpc', grpc(basePort + copy)],
            ...['--db', join(folder, `c${copy}`), '--replicas', String(COPIES.length)],
            ...['--peers', others.map((other) => grpc(basePort + other)).join(',')],
          ],
        };
      }),
      ...COPIES.map((copy) => {
        const port = basePort + VOLUME_PORTS + copy;
        return {
          name: `v${copy}`,
          env,
          command: [
            ...[join(this.#folder, 'minikv-volume'), 'serve', '--id', `v${copy}`],
            ...['--bind', `${HOST}:${port}`, '--grpc', grpc(port)],
            ...['--data', join(folder, `v${copy}`), '--wal', join(folder, `v${copy}-wal`)],
            ...['--coordinators', coordinators],
          ],
        };
      }),
    ];
  }

  async open(site: Site): Promise<readonly Door[]> {
    const leader = Number((await this.leader(site)).slice(1));
    return [
      {
        name: 'minikv (Rust)',
        dialect: {
          kind: 'paths',
          prefixes: [`/bench-${randomBytes(4).toString('hex')}-`],
          suffix: '',
        },
        targets: [{ host: HOST, port: site.basePort + leader }],
        durability: 'synced on volumes and a majority of logs before the answer',
        valueBytesMax: VALUE_BYTES_MAX,
      },
    ];
  }

  async leader({ basePort }: Site): Promise<string> {
    for (const copy of COPIES) {
      const target = { host: HOST, port: basePort + copy };
      const status = await jsonOf(target, '/admin/status').catch(() => null);
      if (status?.['is_leader'] === true) return `c${copy}`;
    }
    throw new Error('minikv (Rust) has no leader');
  }
}
