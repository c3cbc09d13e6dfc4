/**
 * The network of a simulation: machines with names and addresses, connections between them, and for
 * each direction of each pair a delay, a cut or resets. Each life of a process gets a Network of its own.
 * A process that is killed resets its connections; a machine without power falls silent.
 */
import { KvError } from '../common/errors.ts';
import type { Random } from '../common/random.ts';
import { formatHostPort, parseHostPort } from '../rpc/address.ts';
import type { ListenEvents, Listener, Network } from '../rpc/network.ts';
import { callOver, SimCalls } from './calls.ts';
import { chance, exponential } from './draws.ts';
import { type Life, never } from './life.ts';
import { type Link, Pipe, type Road } from './pipe.ts';
import { EVENT, type Scheduler } from './scheduler.ts';
import { type Segment, SimSocket, signal } from './socket.ts';
import type { LinkFaults, SimNetwork } from './types.ts';

const USUAL: LinkFaults = { delayMsMin: 0.1, delayMsMean: 0.3, isCut: false, resetChance: 0 };
const RESOLVE_MS_MEAN = 0.3;
/** One segment in so many arrives in two pieces. */
const SPLIT_EVERY = 32;
const PORT_FIRST = 32_768;

interface Machine {
  readonly name: string;
  readonly address: string;
  hasPower: boolean;
  readonly listeners: Map<number, { readonly life: Life; readonly events: ListenEvents }>;
}

export class SimulatedNetwork implements SimNetwork, Road {
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #machines = new Map<string, Machine>();
  readonly #byAddress = new Map<string, Machine>();
  readonly #links = new Map<string, Link>();
  /** In the order of their making. */
  #pipes: Pipe[] = [];
  #lastPort = PORT_FIRST;

  constructor(scheduler: Scheduler, random: Random) {
    this.#scheduler = scheduler;
    this.#random = random;
  }

  add(name: string, address: string): void {
    const machine = { name, address, hasPower: true, listeners: new Map() };
    this.#machines.set(name, machine);
    this.#byAddress.set(address, machine);
  }

  set(from: string, to: string, faults: Partial<LinkFaults>): void {
    const link = this.#link(from, to);
    link.faults = { ...link.faults, ...faults };
    if (faults.isCut === false) this.#flow((pipe) => pipe.from === from && pipe.to === to);
  }

  heal(): void {
    for (const link of this.#links.values()) link.faults = USUAL;
    this.#flow(() => true);
  }

  resetAll(host: string): void {
    for (const pipe of this.#open()) {
      if (pipe.from !== host) continue;
      pipe.sender.resetSoon();
      pipe.send(signal('reset'));
    }
  }

  /** The network as a process sees that begins on that machine now. */
  viewOf(host: string, life: Life): Network {
    const machine = this.#machine(host);
    machine.hasPower = true;
    machine.listeners.clear();
    return {
      resolve: (address) => this.#resolve(life, address),
      connect: (ipPort) => this.#connect(machine, life, ipPort),
      listen: (bind, events) => this.#listen(machine, life, { bind, events }),
      newCallServer: () => new SimCalls(),
      call: (call) =>
        callOver(this.#connect(machine, life, call.ipPort), call, (delayMs, fn) =>
          this.#scheduler.schedule(delayMs, life, EVENT.timer, fn),
        ),
    };
  }

  /** The process has ended and its machine has not. */
  endProcess(host: string): void {
    this.#machine(host).listeners.clear();
    this.#leave(host, (pipe) => pipe.send(signal('reset')));
  }

  losePower(host: string): void {
    const machine = this.#machine(host);
    machine.listeners.clear();
    machine.hasPower = false;
    this.#leave(host, () => undefined);
  }

  isReset({ link }: Pipe): boolean {
    return chance(this.#random, link.faults.resetChance);
  }

  carry({ link }: Pipe, earliestMs: number, arrived: () => void): number {
    const { delayMsMin, delayMsMean } = link.faults;
    const { nowMs } = this.#scheduler;
    const delayMs = delayMsMin + exponential(this.#random, delayMsMean);
    const atMs = Math.max(earliestMs, nowMs + delayMs);
    this.#scheduler.schedule(atMs - nowMs, null, EVENT.network, arrived);
    return atMs;
  }

  arrived(pipe: Pipe, segment: Segment): void {
    const { receiver } = pipe;
    if (segment.kind === 'connect') this.#accept(pipe);
    else if (receiver === null || receiver.life.isOver) this.#refuse(pipe, segment);
    else {
      this.#scheduler.enter(receiver.life, () => {
        pipe.sender.taken(segment.sizeBytes);
        if (receiver.closed || receiver.destroyed) this.#refuse(pipe, segment);
        else receiver.receive(this.#inPieces(segment));
      });
    }
  }

  #accept(pipe: Pipe): void {
    const machine = this.#machine(pipe.to);
    const { sender } = pipe;
    const listener = machine.listeners.get(sender.remotePort);
    if (!machine.hasPower) return;
    if (listener === undefined || listener.life.isOver) {
      this.#refuse(pipe, signal('data'));
      return;
    }
    const remote = { address: this.#machine(pipe.from).address, port: this.#lastPort };
    const socket = new SimSocket({ scheduler: this.#scheduler, life: listener.life, remote });
    const back = this.#pipe(pipe.to, pipe.from, socket);
    back.receiver = sender;
    pipe.receiver = socket;
    socket.attach(back);
    this.#pipes.push(back);
    this.#scheduler.enter(listener.life, () => listener.events.connected(socket));
  }

  /** Bytes come in other pieces than they were sent in, now and then. */
  #inPieces(segment: Segment): Segment {
    const [first, ...rest] = segment.parts;
    if (first === undefined || first.length < 2 || this.#random.below(SPLIT_EVERY) > 0) {
      return segment;
    }
    const at = 1 + this.#random.below(first.length - 1);
    return { ...segment, parts: [first.subarray(0, at), first.subarray(at), ...rest] };
  }

  /** Nobody has this connection (any more): a machine with power says so. */
  #refuse({ from, to, sender }: Pipe, segment: Segment): void {
    if (segment.kind === 'reset' || segment.kind === 'end' || !this.#machine(to).hasPower) return;
    const back = this.#pipe(to, from, sender);
    back.receiver = sender;
    back.send(signal('reset'));
    back.closed();
    if (back.isStalled) this.#pipes.push(back);
  }

  #resolve(life: Life, address: string): Promise<readonly string[]> {
    if (life.isOver) return never();
    const { host, port } = parseHostPort(address);
    return new Promise((resolve, reject) => {
      const delayMs = exponential(this.#random, RESOLVE_MS_MEAN);
      this.#scheduler.schedule(delayMs, life, EVENT.network, () => {
        const machine = this.#byAddress.get(host) ?? this.#machines.get(host);
        if (machine !== undefined) resolve([formatHostPort({ host: machine.address, port })]);
        else reject(new KvError('UNAVAILABLE', `the name ${host} has no address right now`));
      });
    });
  }

  #connect(machine: Machine, life: Life, ipPort: string): SimSocket {
    const { host, port } = parseHostPort(ipPort);
    const remote = { address: host, port };
    const socket = new SimSocket({ scheduler: this.#scheduler, life, remote });
    const target = this.#byAddress.get(host);
    if (life.isOver || target === undefined) return socket;
    this.#lastPort += 1;
    const pipe = this.#pipe(machine.name, target.name, socket);
    socket.attach(pipe);
    this.#pipes.push(pipe);
    pipe.send(signal('connect'));
    return socket;
  }

  async #listen(
    { listeners }: Machine,
    life: Life,
    { bind, events }: { readonly bind: string; readonly events: ListenEvents },
  ): Promise<Listener> {
    await Promise.resolve();
    const { port } = parseHostPort(bind);
    if (life.isOver) return never();
    if (listeners.has(port)) throw new Error(`EADDRINUSE: ${bind}`);
    listeners.set(port, { life, events });
    return {
      port,
      close: () => {
        if (listeners.get(port)?.life === life) listeners.delete(port);
      },
    };
  }

  /** No process is at this end of the machine's connections any more. */
  #leave(host: string, lastWord: (pipe: Pipe) => void): void {
    for (const pipe of this.#open()) {
      if (pipe.from !== host) continue;
      lastWord(pipe);
      pipe.closed();
    }
  }

  #flow(isMeant: (pipe: Pipe) => boolean): void {
    for (const pipe of this.#open()) if (pipe.isStalled && isMeant(pipe)) pipe.flow();
  }

  /** What is neither closed nor forgotten. */
  #open(): readonly Pipe[] {
    this.#pipes = this.#pipes.filter(({ isDone }) => !isDone);
    return this.#pipes;
  }

  #pipe(from: string, to: string, sender: SimSocket): Pipe {
    return new Pipe(this, { from, to, sender, link: this.#link(from, to) });
  }

  #link(from: string, to: string): Link {
    const name = `${from}>${to}`;
    let link = this.#links.get(name);
    if (link === undefined) {
      link = { faults: USUAL };
      this.#links.set(name, link);
    }
    return link;
  }

  #machine(name: string): Machine {
    const machine = this.#machines.get(name);
    if (machine === undefined) throw new RangeError(`there is no host ${name}`);
    return machine;
  }
}
