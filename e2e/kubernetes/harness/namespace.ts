/** A namespace for one story: everything in it goes when the story ends, however it ends. */
import { waitFor } from '../../harness/wait-for.ts';
import { type CallOptions, kubectl } from './kubectl.ts';
import { type Forward, portForward } from './port-forward.ts';
import { read, readAll } from './reader.ts';

const DELETE_TIMEOUT_MS = 120_000;
/** Between two looks; what waits here takes seconds. */
const LOOK_EVERY_MS = 200;

export class Namespace {
  readonly name: string;
  readonly #forwards: Forward[] = [];

  private constructor(name: string) {
    this.name = name;
  }

  /** A new one, whose name begins with that of the story. */
  static async create(story: string): Promise<Namespace> {
    const name = `${story}-${Math.random().toString(36).slice(2, 8)}`;
    await kubectl(['create', 'namespace', name]);
    return new Namespace(name);
  }

  async kubectl(args: readonly string[], options: CallOptions = {}): Promise<string> {
    return await kubectl(['--namespace', this.name, ...args], options);
  }

  async get<T>(kind: string, name: string): Promise<T> {
    return await read<T>(kind, name, this.name);
  }

  /** Objects of a kind that have all of the labels (`app=minikv,role=volume`). */
  async list<T>(kind: string, labels = ''): Promise<readonly T[]> {
    return await readAll<T>(kind, { namespace: this.name, labels });
  }

  async apply(...objects: readonly object[]): Promise<void> {
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    await this.kubectl(['apply', '-f', '-'], { input: JSON.stringify(list) });
  }

  /** Runs a program in a pod and resolves with its standard output. */
  async exec(pod: string, program: readonly string[], options: CallOptions = {}): Promise<string> {
    return await this.kubectl(['exec', pod, '--', ...program], options);
  }

  /** Waits until the object has the condition, for example `Ready` of `pod/probe`. */
  async condition(object: string, condition: string, timeoutMs: number): Promise<void> {
    const args = ['wait', `--for=condition=${condition}`, object, `--timeout=${timeoutMs}ms`];
    await this.#explained(() => this.kubectl(args, { timeoutMs: 2 * timeoutMs }));
  }

  /** Like the `waitFor` of all stories; when it fails, its error tells how the namespace is. */
  async waitFor(
    what: string,
    timeoutMs: number,
    condition: () => boolean | Promise<boolean>,
  ): Promise<void> {
    await this.#explained(() => waitFor(what, timeoutMs, condition, LOOK_EVERY_MS));
  }

  /** An address on this machine that leads to a pod or service, until the story ends. */
  async forward(target: string, port: number): Promise<URL> {
    const forward = await portForward(this.name, target, port);
    this.#forwards.push(forward);
    return forward.url;
  }

  /** Resolves when nothing of the story is left; asked again it has nothing to do. */
  async close(): Promise<void> {
    for (const forward of this.#forwards) forward.close();
    const args = ['delete', 'namespace', this.name, '--ignore-not-found'];
    const timeout = `--timeout=${DELETE_TIMEOUT_MS}ms`;
    await kubectl([...args, timeout], { timeoutMs: 2 * DELETE_TIMEOUT_MS });
  }

  async #explained(wait: () => Promise<unknown>): Promise<void> {
    try {
      await wait();
    } catch (cause) {
      const objects = await this.kubectl(['get', 'pods,persistentvolumeclaims', '-o', 'wide']);
      const events = await this.kubectl(['get', 'events', '--sort-by=.lastTimestamp']);
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`${reason}\n${objects}\n${events}`, { cause });
    }
  }
}
