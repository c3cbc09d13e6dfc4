/**
 * Brings hosts down and up again, as a machine room and its service manager do: a host is started once every
 * fault that keeps it down is over, and a process that has ended by itself a little later.
 */
import type { SimCluster, SimHost } from './types.ts';

export type DownBy = 'kill' | 'power-cut' | 'stop';

export interface SupervisorEvents {
  /** The process has ended, and nobody has asked it to. */
  readonly endedByItself: (host: SimHost, error: Error | null) => void;
  readonly started: (host: SimHost) => void;
}

const LOOK_EVERY_MS = 50;
const RESTART_AFTER_MS = 300;
/** A process that does not end when it is asked to is killed. */
const STOP_PATIENCE_MS = 60_000;

export class Supervisor {
  readonly #cluster: SimCluster;
  readonly #events: SupervisorEvents;
  /** When what is down may come up again; no entry: it should be up. */
  readonly #downUntil = new Map<SimHost, number>();
  readonly #stopping = new Map<SimHost, number>();

  constructor(cluster: SimCluster, events: SupervisorEvents) {
    this.#cluster = cluster;
    this.#events = events;
  }

  /** Starts everything, and looks after it from then on. */
  start(): void {
    for (const host of this.#cluster.hosts) host.start();
    this.#lookAgain();
  }

  #lookAgain(): void {
    this.#cluster.after(LOOK_EVERY_MS, () => {
      for (const host of this.#cluster.hosts) this.#look(host);
      this.#lookAgain();
    });
  }

  /** Brings the host down for at least `downMs`. */
  takeDown(host: SimHost, by: DownBy, downMs: number): void {
    const upAtMs = this.#cluster.nowMs + downMs;
    this.#downUntil.set(host, Math.max(this.#downUntil.get(host) ?? 0, upAtMs));
    if (!host.isUp) return;
    if (host.isPaused && by === 'stop') host.resume();
    if (by === 'kill') host.kill();
    else if (by === 'power-cut') host.cutPower();
    else this.#stop(host);
  }

  /** All that is down may come up at once. */
  hurry(): void {
    for (const host of this.#downUntil.keys()) this.#downUntil.set(host, 0);
  }

  #stop(host: SimHost): void {
    if (this.#stopping.has(host)) return;
    this.#stopping.set(host, this.#cluster.nowMs + STOP_PATIENCE_MS);
    const over = (): void => {
      this.#stopping.delete(host);
    };
    host.stop().then(over, over);
  }

  #look(host: SimHost): void {
    const { nowMs } = this.#cluster;
    const stopEndMs = this.#stopping.get(host);
    if (stopEndMs !== undefined && host.isUp) {
      if (nowMs > stopEndMs) {
        this.#stopping.delete(host);
        host.kill();
      }
      return;
    }
    if (host.isUp) return;
    this.#stopping.delete(host);
    const upAtMs = this.#downUntil.get(host);
    if (upAtMs === undefined) {
      this.#events.endedByItself(host, host.fatal);
      this.#downUntil.set(host, nowMs + RESTART_AFTER_MS);
    } else if (nowMs >= upAtMs) {
      this.#downUntil.delete(host);
      host.start();
      this.#events.started(host);
    }
  }
}
