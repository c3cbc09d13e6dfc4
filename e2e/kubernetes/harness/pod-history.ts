/** Which pods of a cluster went and came while nobody looked. */
import type { Namespace } from './namespace.ts';
import { type Watch, watch } from './watch.ts';

const FIELDS = [
  '{.metadata.name}',
  '{.metadata.uid}',
  '{.metadata.deletionTimestamp}',
  '{.status.conditions[?(@.type=="Ready")].status}',
];

export class PodHistory {
  readonly #watch: Watch;
  #from = 0;

  private constructor(started: Watch) {
    this.#watch = started;
  }

  static async start(namespace: Namespace, cluster: string): Promise<PodHistory> {
    const labels = `app.kubernetes.io/name=minikv,app.kubernetes.io/instance=${cluster}`;
    return new PodHistory(await watch(namespace, { kind: 'pod', labels, line: FIELDS.join('|') }));
  }

  /** What happened until now is of no interest any more. */
  forget(): void {
    this.#from = this.#watch.lines.length;
  }

  /** Names of the pods that were there and are another now, in the order they went. */
  get replaced(): readonly string[] {
    const gone = this.#changes().filter(({ isDeleted }) => isDeleted);
    return [...new Map(gone.map(({ name, uid }) => [uid, name])).values()];
  }

  /** The greatest number of pods that were away at once, of those that were ready before. */
  get awayMax(): number {
    const away = new Set<string>();
    const counts = this.#changes().map(({ name, isReady }) => {
      if (isReady) away.delete(name);
      else away.add(name);
      return away.size;
    });
    return Math.max(0, ...counts);
  }

  close(): void {
    this.#watch.close();
  }

  #changes() {
    return this.#watch.lines.slice(this.#from).map((line) => {
      const [name = '', uid = '', deleted = '', ready = ''] = line.split('|');
      return { name, uid, isDeleted: deleted !== '', isReady: deleted === '' && ready === 'True' };
    });
  }
}
