/**
 * Three coordinators and three volumes as they run in pods: each with an IP of its own and a name that
 * finds it, the container's environment and nothing else of ours, no home, a folder that it may not
 * write to, and (where the tests run as root) a user that owns nothing but its data. Nothing starts
 * by itself: a test plays the scheduler and the name service.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { ON_VOLUMES } from './cluster.ts';
import { type Answer, call } from './kv.ts';
import { waitFor } from './wait-for.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const HOSTS = join(ROOT, 'e2e/harness/hosts.ts');
const NODE_FLAGS = ['--disable-warning=ExperimentalWarning', '--import', HOSTS];
const ANYBODY = 12_345;
const LOG_TAIL_MAX = 2000;
export const CLUSTER_ID = '0123456789abcdef0123456789abcdef';
/** One name for the gRPC listeners of all coordinators. */
const ALL_COORDINATORS = 'coordinators.test';

export type Role = 'coordinator' | 'volume';
export type Environment = Readonly<Record<string, string>>;

export interface Pod {
  readonly name: string;
  readonly role: Role;
  /** Its mount: the data folders are below. */
  readonly mount: string;
  readonly terminationLog: string;
  ip: string;
  child: ChildProcess | null;
  /** The last output of all its processes. */
  readonly log: string[];
}

interface Ports {
  readonly http: number;
  readonly grpc: number;
  readonly admin: number;
}

export class Pods {
  readonly folder: string;
  readonly pods: readonly Pod[];
  /** Pods that a test added: they are ended with the others. */
  readonly #twins: Pod[] = [];
  readonly #ports: Ports;
  readonly #hosts = new Map<string, readonly string[]>();
  readonly #uid: number | null;

  private constructor(folder: string, pods: readonly Pod[], ports: Ports, uid: number | null) {
    this.folder = folder;
    this.pods = pods;
    this.#ports = ports;
    this.#uid = uid;
  }

  /** Folders, settings and names of six pods; none runs. */
  static async create(): Promise<Pods> {
    const folder = await mkdtemp(join(tmpdir(), 'minikv-pods-'));
    await chmod(folder, 0o755);
    const pods = [1, 2, 3].flatMap((i) => [podOf(folder, 'c', i), podOf(folder, 'v', i)]);
    pods.sort((a, b) => a.name.localeCompare(b.name));
    const made = new Pods(folder, pods, await freePorts(pods.map(({ ip }) => ip)), otherUser());
    for (const { mount } of pods) await made.#makeMount(mount);
    await made.#prepareSettings();
    for (const { name, ip } of pods) made.#hosts.set(`${name}.test`, [ip]);
    await made.#writeHosts();
    return made;
  }

  pod(name: string): Pod {
    const found = [...this.pods, ...this.#twins].find((pod) => pod.name === name);
    if (found === undefined) throw new Error(`no pod ${name}`);
    return found;
  }

  /** A second pod over the same folders, at another address; answers its name. */
  twin(name: string): string {
    const pod = this.pod(name);
    const twin = { ...pod, name: `${name}-twin`, ip: '127.0.3.1', child: null, log: [] };
    this.#twins.push(twin);
    return twin.name;
  }

  coordinators(): readonly Pod[] {
    return this.pods.filter(({ role }) => role === 'coordinator');
  }

  http(name: string): string {
    return `http://${this.pod(name).ip}:${this.#ports.http}`;
  }

  admin(name: string): string {
    return `http://${this.pod(name).ip}:${this.#ports.admin}`;
  }

  /** Points the name of a pod, and its place in the name of all coordinators, to an address. */
  async point(name: string, ip: string): Promise<void> {
    this.#hosts.set(`${name}.test`, [ip]);
    await this.#writeHosts();
  }

  /** Starts a pod's process; `more` is added to its environment. */
  start(name: string, more: Environment = {}): void {
    const pod = this.pod(name);
    const main = join(ROOT, 'services', pod.role, 'main.ts');
    const user = this.#uid === null ? {} : { uid: this.#uid, gid: this.#uid };
    const child = spawn(process.execPath, [...NODE_FLAGS, main, 'serve'], {
      cwd: '/',
      env: { ...this.environment(name), ...more },
      stdio: ['ignore', 'ignore', 'pipe'],
      ...user,
    });
    child.stderr.on('data', (piece: Buffer) => {
      pod.log.push(piece.toString());
      if (pod.log.length > LOG_TAIL_MAX) pod.log.shift();
    });
    pod.child = child;
  }

  /** Signals a pod's process; resolves with its exit code (null: a signal ended it). */
  async end(name: string, signal: NodeJS.Signals): Promise<number | null> {
    this.pod(name).child?.kill(signal);
    return this.ended(name);
  }

  /** Waits for the end of a pod's process. */
  async ended(name: string): Promise<number | null> {
    const { child } = this.pod(name);
    if (child === null) return null;
    await waitFor(
      `${name} ends`,
      60_000,
      () => child.exitCode !== null || child.signalCode !== null,
    );
    return child.exitCode;
  }

  /** The container's environment, with the names that containers use. */
  environment(name: string): Environment {
    const { role, ip, mount, terminationLog } = this.pod(name);
    const { http, grpc, admin } = this.#ports;
    const id = name.replace('-twin', '');
    const common = {
      HOSTS_FILE: join(this.folder, 'hosts.json'),
      POD_NAME: name,
      POD_UID: `uid-of-${name}`,
      HTTP_BIND: `${ip}:${http}`,
      GRPC_BIND: `${ip}:${grpc}`,
      MINIKV_ADMIN_BIND: `${ip}:${admin}`,
      MINIKV_ADVERTISE: `${name}.test:${grpc}`,
      MINIKV_TERMINATION_LOG: terminationLog,
      MINIKV_CONFIG: join(this.folder, 'settings', `${role}.json`),
    };
    if (role === 'coordinator') {
      const own = { NODE_ID: id, DB_PATH: join(mount, 'coordinator'), REPLICAS: '3' };
      return { ...common, ...own, ...ON_VOLUMES, MINIKV_BOOTSTRAP: 'manual' };
    }
    return {
      ...common,
      VOLUME_ID: id,
      DATA_PATH: join(mount, 'blobs'),
      WAL_PATH: join(mount, 'wal'),
      COORDINATORS: `${ALL_COORDINATORS}:${grpc}`,
      MINIKV_ZONE: `node-of-${name}`,
    };
  }

  /** Calls an admin path on a pod's admin port. */
  call(name: string, path: string, body?: unknown): Promise<Answer> {
    const json = { 'content-type': 'application/json' };
    const post = { method: 'POST', headers: json, body: JSON.stringify(body) };
    return call(`${this.admin(name)}${path}`, body === undefined ? {} : post, 5000);
  }

  /** The members as `POST /admin/bootstrap` wants them. */
  members(): { nodeId: number; name: string; address: string }[] {
    return this.coordinators().map(({ name }, i) => {
      return { nodeId: i + 1, name, address: `${name}.test:${this.#ports.grpc}` };
    });
  }

  async isReady(name: string): Promise<boolean> {
    return (await this.call(name, '/health/ready')).status === 200;
  }

  async ready(): Promise<void> {
    for (const { name } of this.pods) {
      await waitFor(`${name} is ready`, 30_000, () => this.isReady(name));
    }
    for (const { name } of this.coordinators()) {
      await waitFor(`${name} hears all volumes`, 30_000, async () => {
        const status = await this.json(name, '/admin/status');
        return status['nb_volumes'] === 3;
      });
    }
  }

  /** The body of a GET on the admin port. */
  async json(name: string, path: string): Promise<Record<string, unknown>> {
    return JSON.parse((await this.call(name, path)).body.toString()) as Record<string, unknown>;
  }

  /** Starts all six and forms the cluster, as an operator does. */
  async form(): Promise<void> {
    for (const { name } of this.pods) this.start(name);
    const request = { clusterId: CLUSTER_ID, members: this.members() };
    for (const { name } of this.coordinators()) {
      await waitFor(`${name} takes its identity`, 30_000, async () => {
        return (await this.call(name, '/admin/bootstrap', request)).status === 200;
      });
    }
    await this.ready();
  }

  /** Replaces a settings file as Kubernetes does: by one swap of a folder's symbolic link. */
  async swapSettings(role: Role, settings: Readonly<Record<string, unknown>>): Promise<void> {
    const mount = join(this.folder, 'settings');
    const version = `..version-${Math.random().toString(36).slice(2)}`;
    await mkdir(join(mount, version));
    for (const each of ['coordinator', 'volume'] as const) {
      const text = await readFile(join(mount, `${each}.json`), 'utf8').catch(() => '{}');
      const next = each === role ? JSON.stringify(settings) : text;
      await writeFile(join(mount, version, `${each}.json`), next);
    }
    await symlink(version, join(mount, '..data_tmp'));
    await rename(join(mount, '..data_tmp'), join(mount, '..data'));
    for (const each of ['coordinator', 'volume']) {
      await symlink(join('..data', `${each}.json`), join(mount, `${each}.json`)).catch(() => null);
    }
  }

  async stop(): Promise<void> {
    for (const { child } of [...this.pods, ...this.#twins]) {
      if (child !== null && child.exitCode === null) child.kill('SIGKILL');
    }
    for (const { name } of this.pods) await this.ended(name);
    await rm(this.folder, { recursive: true, force: true });
  }

  async #prepareSettings(): Promise<void> {
    await mkdir(join(this.folder, 'settings'));
    const peers = this.members().map(({ name, address }) => `${name}=${address}`);
    await this.swapSettings('coordinator', { peers, clusterId: CLUSTER_ID });
    await this.swapSettings('volume', { clusterId: CLUSTER_ID });
  }

  /** A fresh mount: empty but for what a file system makes, owned by the pod's user. */
  async #makeMount(mount: string): Promise<void> {
    await mkdir(join(mount, 'lost+found'), { recursive: true, mode: 0o700 });
    // As a kubelet does with its file for last words: anybody may write it.
    await writeFile(`${mount}.termination.log`, '');
    await chmod(`${mount}.termination.log`, 0o666);
    if (this.#uid !== null) await chown(mount, this.#uid, this.#uid);
  }

  async #writeHosts(): Promise<void> {
    const all = this.coordinators().flatMap(({ name }) => this.#hosts.get(`${name}.test`) ?? []);
    const hosts = { ...Object.fromEntries(this.#hosts), [ALL_COORDINATORS]: all };
    const path = join(this.folder, 'hosts.json');
    await writeFile(`${path}.new`, JSON.stringify(hosts));
    await rename(`${path}.new`, path);
  }
}

function podOf(folder: string, letter: 'c' | 'v', i: number): Pod {
  const name = `${letter}${i}`;
  const mount = join(folder, name);
  return {
    name,
    role: letter === 'c' ? 'coordinator' : 'volume',
    mount,
    terminationLog: join(folder, `${name}.termination.log`),
    ip: `127.0.${letter === 'c' ? 1 : 2}.${i}`,
    child: null,
    log: [],
  };
}

/** A user who owns nothing, where one can be had: the tests run as root, and he may read the code. */
function otherUser(): number | null {
  if (process.getuid?.() !== 0) return null;
  const main = join(ROOT, 'services/volume/main.ts');
  const { status } = spawnSync(process.execPath, [main, '--help'], {
    cwd: '/',
    env: {},
    uid: ANYBODY,
    gid: ANYBODY,
  });
  if (status === 0) return ANYBODY;
  console.warn('pods run as root here: another user may not read this folder');
  return null;
}

/** Ports that are free on all of the addresses. */
async function freePorts(ips: readonly string[]): Promise<Ports> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const http = 24_000 + Math.floor(Math.random() * 600) * 3;
    const ports = { http, grpc: http + 1, admin: http + 2 };
    const pairs = ips.flatMap((ip) => Object.values(ports).map((port) => ({ ip, port })));
    const free = await Promise.all(pairs.map(({ ip, port }) => isFree(ip, port)));
    if (free.every(Boolean)) return ports;
  }
  throw new Error('no free ports on 127.0.1.* and 127.0.2.*');
}

function isFree(ip: string, port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', () => done(false));
    server.listen(port, ip, () => server.close(() => done(true)));
  });
}
