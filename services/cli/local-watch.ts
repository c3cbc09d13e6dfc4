/** Looks at a local cluster's processes and says what a person wants to know: who leads, is it ready. */
import { AdminClient } from '../client/admin-client.ts';
import { SECOND_MS } from '../common/units.ts';
import type { LocalProcess } from './local-plan.ts';

export interface WatchOptions {
  readonly say: (line: string) => void;
  /** Called once: there is a leader, every running process serves, and coordinators hear all volumes. */
  readonly ready: () => void;
  readonly isRunning: (name: string) => boolean;
}

const POLL_MS = 250;
/** How long a start may be quiet before it tells what it waits for. */
const PATIENCE_MS = 20 * SECOND_MS;

export class LocalWatch {
  readonly #processes: readonly LocalProcess[];
  readonly #options: WatchOptions;
  readonly #admin: AdminClient;
  readonly #stopping = new AbortController();
  #leader = '';
  #isReady = false;
  #quietMs = 0;
  #loop: Promise<void> = Promise.resolve();

  constructor(processes: readonly LocalProcess[], options: WatchOptions) {
    this.#processes = processes;
    this.#options = options;
    this.#admin = new AdminClient(
      processes.filter(({ role }) => role === 'coordinator').map(({ http }) => new URL(http)),
    );
  }

  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    await this.#admin.close();
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const waiting = await this.#look();
      if (!this.#isReady && waiting.length === 0) {
        this.#isReady = true;
        this.#options.ready();
      }
      this.#quietMs += POLL_MS;
      if (!this.#isReady && this.#quietMs >= PATIENCE_MS) {
        this.#quietMs = 0;
        this.#options.say(`still waiting for ${waiting.join(', ')}; see the logs folder`);
      }
      await pause(this.#isReady ? SECOND_MS : POLL_MS, this.#stopping.signal);
    }
  }

  /** Names of what is not there yet; tells a new leader. */
  async #look(): Promise<readonly string[]> {
    const states = await Promise.all(this.#processes.map((each) => this.#stateOf(each)));
    const running = states.filter(({ name }) => this.#options.isRunning(name));
    const volumes = running.filter(({ hears }) => hears === null).map(({ name }) => name);
    const isWell = ({ serves, hears }: State): boolean =>
      serves && (hears === null || volumes.every((name) => hears.includes(name)));
    const waiting = running.filter((state) => !isWell(state)).map(({ name }) => name);
    const leading = states.filter(({ leads }) => leads > 0).sort((a, b) => b.leads - a.leads)[0];
    if (leading === undefined) return [...waiting, 'a leader'];
    const leader = `${leading.name} leads in term ${leading.leads}`;
    if (leader !== this.#leader) this.#options.say(leader);
    this.#leader = leader;
    return waiting;
  }

  async #stateOf({ name, http, role }: LocalProcess): Promise<State> {
    const hears = role === 'volume' ? null : [];
    try {
      if (role === 'volume') {
        const { state } = await this.#admin.volumeStatus(new URL(http));
        return { name, serves: state === 'serving', leads: 0, hears };
      }
      const status = await this.#admin.status(new URL(http));
      return {
        name,
        serves: status.state === 'member' && status.caughtUp && status.leader !== null,
        leads: status.role === 'leader' ? status.term : 0,
        hears: status.volume_ids,
      };
    } catch {
      return { name, serves: false, leads: 0, hears };
    }
  }
}

/** What a process says of itself. */
interface State {
  readonly name: string;
  readonly serves: boolean;
  /** The term in which it leads; 0: it does not. */
  readonly leads: number;
  /** Volumes that a coordinator hears: a write now goes to these alone. null: of a volume. */
  readonly hears: readonly string[] | null;
}

const pause = (delayMs: number, signal: AbortSignal): Promise<void> =>
  new Promise((settle) => {
    const timer = setTimeout(settle, delayMs);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      settle();
    });
  });
