/**
 * A state machine of texts with a durable part: what is flushed outlives a crash, the rest does not.
 * A flush never goes beyond the own durable log, as the port demands.
 */
import { assert } from '../common/assert.ts';
import { textOf, utf8 } from '../common/bytes.ts';
import { type LogIndex, logIndex, term } from '../common/ids.ts';
import type { SnapshotSource, StateMachine } from '../consensus/state-machine.ts';
import type { Entry, LogPoint } from '../raft/types.ts';

interface State {
  readonly point: LogPoint;
  readonly texts: readonly string[];
  readonly installed: boolean;
}

export class TextMachine implements StateMachine {
  #durable: State = {
    point: { index: logIndex(0), term: term(0) },
    texts: [],
    installed: false,
  };
  #live = this.#durable;
  #logDurable = 0;

  get applied(): LogPoint {
    return this.#live.point;
  }

  get flushed(): LogPoint {
    return this.#durable.point;
  }

  get texts(): readonly string[] {
    return this.#live.texts;
  }

  /** The durable state came from a snapshot and nothing was flushed since. */
  get installed(): boolean {
    return this.#durable.installed;
  }

  crash(): void {
    this.#live = this.#durable;
    this.#logDurable = 0;
  }

  apply(entries: readonly Entry[]): void {
    const texts = [...this.#live.texts];
    let { point } = this.#live;
    for (const { index, term: entryTerm, kind, data } of entries) {
      assert(index === point.index + 1, `applied ${index} after ${point.index}`);
      if (kind === 'command') texts.push(textOf(data));
      point = { index, term: entryTerm };
    }
    this.#live = { point, texts, installed: false };
  }

  logDurable(index: LogIndex): void {
    this.#logDurable = index;
  }

  async flush(): Promise<void> {
    if (this.#live.point.index <= this.#logDurable) this.#durable = this.#live;
  }

  async openSnapshot(): Promise<SnapshotSource> {
    const { point, texts } = this.#durable;
    return { point, chunks: chunksOf(utf8(JSON.stringify(texts))), close: async () => {} };
  }

  async installSnapshot(point: LogPoint, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    let text = '';
    for await (const chunk of chunks) text += textOf(chunk);
    this.#durable = { point, texts: JSON.parse(text) as string[], installed: true };
    this.#live = this.#durable;
  }
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 100) yield bytes.subarray(at, at + 100);
}
