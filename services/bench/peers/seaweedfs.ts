/**
 * SeaweedFS: a master, three volume servers with replication 002 and a filer. Volumes are asked by ids
 * given out beforehand, without and with fsync, the filer by name.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Dialect } from '../load/dialect.ts';
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

const GRPC_PORTS = 100;
const FILER_PORT = 10;
const REPLICATION = '002';
const VOLUMES = 6;
/** Of the master's volume assignments, which are drawn at random. */
const ASSIGNMENTS_MAX = 300;
/** Volumes of their own for ids of ours, which then never meet those that the filer is given. */
const COLLECTION = 'collection=ids';
const COOKIE = '00c0ffee';

export const seaweedfs: Peer = {
  name: 'seaweedfs',
  async install(workshop) {
    const { path, version } = await goProgram(
      {
        module: 'seaweedfs',
        package: 'github.com/seaweedfs/seaweedfs/weed',
        name: 'weed',
        versionOf: 'github.com/seaweedfs/seaweedfs',
      },
      workshop,
    );
    return new InstalledSeaweedFs(path, version);
  },
};

class InstalledSeaweedFs implements Installed {
  readonly version: string;
  readonly #program: string;

  constructor(program: string, version: string) {
    this.#program = program;
    this.version = version;
  }

  processes({ folder, basePort }: Site): readonly ProcessPlan[] {
    const at = (port: number): readonly string[] => [
      ...[`-ip=${HOST}`, `-ip.bind=${HOST}`, `-port=${port}`, `-port.grpc=${port + GRPC_PORTS}`],
    ];
    const master = `-master=${HOST}:${basePort}.${basePort + GRPC_PORTS}`;
    const start = [this.#program, '-logtostderr=true'];
    const places = (name: string) => ({ name, folder: join(folder, name) });
    return [
      {
        ...places('master'),
        command: [
          ...[...start, 'master', ...at(basePort), `-mdir=${join(folder, 'master')}`],
          ...['-peers=none', `-defaultReplication=${REPLICATION}`, '-telemetry=false'],
        ],
      },
      ...COPIES.map((copy) => ({
        ...places(`v${copy}`),
        command: [
          ...[...start, 'volume', ...at(basePort + copy), `-dir=${join(folder, `v${copy}`)}`],
          ...[master, '-max=100', '-preStopSeconds=0'],
        ],
      })),
      {
        ...places('filer'),
        command: [
          ...[...start, 'filer', ...at(basePort + FILER_PORT), master],
          ...[`-defaultStoreDir=${join(folder, 'filer')}`],
          ...[`-defaultReplicaPlacement=${REPLICATION}`],
          ...[`-localSocket=${join(folder, 'filer.sock')}`],
        ],
      },
    ];
  }

  async open({ basePort }: Site): Promise<readonly Door[]> {
    const prefixes = (await this.#volumes(basePort)).map((id) => `/${id.padStart(4, '0')},`);
    const byId: Dialect = { kind: 'paths', prefixes, suffix: COOKIE };
    const targets = targetsAt(basePort + 1, COPIES.length, 1);
    const path = `/bench/${randomBytes(4).toString('hex')}/`;
    return [
      {
        name: 'SeaweedFS volumes',
        dialect: byId,
        targets,
        durability: 'not synced; by ids given out beforehand, not by name',
      },
      {
        name: 'SeaweedFS volumes, fsync',
        dialect: { ...byId, putQuery: '?fsync=true' },
        targets,
        durability: 'asked to sync each PUT (fsync=true); by ids given out beforehand',
        isFor: ({ workload }) => workload === 'put' || workload === 'mix',
      },
      {
        name: 'SeaweedFS filer',
        dialect: { kind: 'paths', prefixes: [path], suffix: '' },
        targets: targetsAt(basePort + FILER_PORT, 1, 1),
        durability: 'not synced; by name',
      },
    ];
  }

  /** Ids of the volumes, which the master is asked to make. */
  async #volumes(basePort: number): Promise<readonly string[]> {
    const master = { host: HOST, port: basePort };
    const volumes = `replication=${REPLICATION}&${COLLECTION}`;
    const found = new Set<string>();
    await jsonOf(master, `/vol/grow?${volumes}&count=${VOLUMES}`);
    for (let i = 0; i < ASSIGNMENTS_MAX && found.size < VOLUMES; i += 1) {
      const { fid } = await jsonOf(master, `/dir/assign?${volumes}`);
      if (typeof fid !== 'string') throw new Error('the master assigns no volume');
      found.add(fid.split(',')[0] ?? '');
    }
    return [...found].sort();
  }
}
