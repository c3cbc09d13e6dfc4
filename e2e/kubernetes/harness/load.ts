/** Clients in a pod of the story: `load/client.ts`, started, marked and at the end judged. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LoadHistory } from '../../harness/load-history.ts';
import type { Namespace } from './namespace.ts';
import { probePod } from './probe-pod.ts';

const PROGRAM = join(import.meta.dirname, '../load/client.ts');
const NAME = 'load';
const PORT = 8080;
const CLIENT_PORT = 5000;
const START_MS = 60_000;
const MARK_MS = 5_000;
const STOP_MS = 120_000;

export class Load {
  readonly history = new LoadHistory();
  readonly #namespace: Namespace;

  private constructor(namespace: Namespace) {
    this.#namespace = namespace;
  }

  /** Starts the clients of a cluster; `node` is where they run, if that matters. */
  static async start(namespace: Namespace, cluster: string, node?: string): Promise<Load> {
    const url = `http://${cluster}.${namespace.name}.svc:${CLIENT_PORT}`;
    await namespace.apply(
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: NAME },
        data: { 'client.ts': await readFile(PROGRAM, 'utf8') },
      },
      probePod(NAME, {
        ...(node === undefined ? {} : { node }),
        program: {
          command: ['node', '/config/client.ts'],
          config: NAME,
          environment: { CLUSTER_URL: url },
        },
      }),
    );
    await namespace.condition(`pod/${NAME}`, 'Ready', START_MS);
    const load = new Load(namespace);
    await namespace.waitFor('the clients', START_MS, async () => {
      await load.mark('start');
      return true;
    });
    return load;
  }

  /** Begins a phase, which ends with the next mark; `history` then has all before this one. */
  async mark(name: string): Promise<void> {
    this.history.append(await this.#post(`mark/${name}`, MARK_MS));
  }

  /** Ends the clients and has every key read once more; `history` then has everything. */
  async stop(): Promise<void> {
    this.history.append(await this.#post('stop', STOP_MS));
  }

  async #post(path: string, timeoutMs: number): Promise<string> {
    const pod = `/api/v1/namespaces/${this.#namespace.name}/pods/${NAME}:${PORT}`;
    const args = ['create', '--raw', `${pod}/proxy/${path}`, '-f', '-'];
    return await this.#namespace.kubectl(args, { timeoutMs, input: '' });
  }
}
