/** What the pods of a cluster went through, in the order in which the apiserver told it: nothing is polled. */
import type { Namespace } from './namespace.ts';
import { type Watch, watch } from './watch.ts';

/** A line an event: what happened, to whom, whether it is ready, and when it was told to go. */
const LINE = [
  '{.type}',
  '{.object.metadata.name}',
  '{.object.metadata.uid}',
  '{.object.status.conditions[?(@.type=="Ready")].status}',
  '{.object.metadata.deletionTimestamp}',
].join('|');

export class PodWatch {
  readonly #watch: Watch;
  #from = 0;

  private constructor(started: Watch) {
    this.#watch = started;
  }

  static async start(namespace: Namespace, cluster: string): Promise<PodWatch> {
    const labels = `app.kubernetes.io/name=minikv,app.kubernetes.io/instance=${cluster}`;
    return new PodWatch(await watch(namespace, { kind: 'pod', labels, line: LINE }));
  }

  /** What happened until now is of no interest any more. */
  forget(): void {
    this.#from = this.#watch.lines.length;
  }

  /** Who was told to go, in that order. */
  get removed(): readonly string[] {
    const leaving = this.#events.slice(this.#from).filter(({ isLeaving }) => isLeaving);
    return [...new Map(leaving.map(({ name, uid }) => [uid, name])).values()];
  }

  /** The most that were away at one moment: missing, not ready or on their way out, having served before. */
  get worst(): readonly string[] {
    const moments = this.#moments().slice(this.#from);
    return moments.reduce((worst, away) => (away.length > worst.length ? away : worst), []);
  }

  /** Those that are away now. */
  get away(): readonly string[] {
    return this.#moments().at(-1) ?? [];
  }

  /** @throws Error when the watch ended before. */
  close(): void {
    this.#watch.close();
  }

  /** Who was away after each event. */
  #moments(): readonly (readonly string[])[] {
    const away = new Set<string>();
    const served = new Set<string>();
    return this.#events.map(({ name, isServing }) => {
      if (isServing) {
        served.add(name);
        away.delete(name);
      } else if (served.has(name)) {
        away.add(name);
      }
      return [...away];
    });
  }

  get #events() {
    return this.#watch.lines.map((line) => {
      const [event = '', name = '', uid = '', ready = '', deleted = ''] = line.split('|');
      const isLeaving = event === 'DELETED' || deleted !== '';
      return { name, uid, isLeaving, isServing: ready === 'True' && !isLeaving };
    });
  }
}
