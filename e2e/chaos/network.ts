/**
 * The network between six processes and their clients, in two forms with one set of faults. Names stand
 * for addresses that differ by who asks (harness/hosts.ts), so a link can be led through a proxy.
 * `namespaces`: each process in its own network namespace, packets are dropped by nftables, and the
 * links to two processes go through proxies. `loopback`: everything goes through proxies.
 */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { present } from '../../services/common/assert.ts';
import { seededRandom } from '../../services/common/random.ts';
import { LinkProxy, type LinkState, type Trouble } from './link-proxy.ts';
import { COORDINATORS, VOLUMES } from './schedule.ts';

const run = promisify(execFile);

export const CLIENTS = 'clients';
const NODES: readonly string[] = [...COORDINATORS, ...VOLUMES];
const PLACES = [...NODES, CLIENTS];

/** `from>to`: what `from` sends does not arrive. */
export type Cut = `${string}>${string}`;

export interface Ports {
  readonly http: number;
  readonly grpc: number;
}

export interface NetworkOptions {
  readonly kind: 'namespaces' | 'loopback';
  readonly folder: string;
  readonly ports: Ports;
  readonly seed: number;
  /** Processes whose links go through proxies in `namespaces`. */
  readonly proxied: readonly string[];
}

export class Network {
  readonly #options: NetworkOptions;
  readonly #proxies = new Map<string, LinkProxy>();
  #cuts: ReadonlySet<Cut> = new Set();
  #troubles: ReadonlyMap<string, Trouble> = new Map();
  /** One change after the other, the newest state in the end. */
  #changing: Promise<void> = Promise.resolve();

  private constructor(options: NetworkOptions) {
    this.#options = options;
  }

  static async open(options: NetworkOptions): Promise<Network> {
    const network = new Network(options);
    if (options.kind === 'namespaces') await network.#makeNamespaces();
    await network.#openProxies();
    for (const name of NODES) await network.#writeHosts(name);
    return network;
  }

  /** Address of a process itself. */
  addressOf(name: string): string {
    const last = NODES.indexOf(name) + 1;
    return this.#options.kind === 'namespaces' ? `10.77.100.${last}` : `127.77.100.${last}`;
  }

  /** Where clients reach a coordinator. */
  clientUrl(name: string): string {
    const host = this.#isProxied(name) ? this.#linkAddress(CLIENTS, name) : this.addressOf(name);
    return `http://${host}:${this.#options.ports.http}`;
  }

  /** The file in which a process looks up names. */
  hostsFile(name: string): string {
    return join(this.#options.folder, `hosts-${name}.json`);
  }

  /** What starts a command at the place of a process. */
  wrap(name: string, command: readonly string[]): readonly string[] {
    if (this.#options.kind === 'loopback') return command;
    return ['ip', 'netns', 'exec', name, ...command];
  }

  /** Processes whose links a proxy can trouble. */
  get troubled(): readonly string[] {
    return NODES.filter((name) => this.#isProxied(name));
  }

  /** The whole state of all links, from now on. */
  async set(cuts: ReadonlySet<Cut>, troubles: ReadonlyMap<string, Trouble>): Promise<void> {
    const before = this.#cuts;
    this.#cuts = cuts;
    this.#troubles = troubles;
    for (const [link, proxy] of this.#proxies) proxy.set(this.#stateOf(link));
    if (this.#options.kind === 'loopback') return;
    const changed = new Set([...cuts].filter((cut) => !before.has(cut)));
    for (const cut of before) if (!cuts.has(cut)) changed.add(cut);
    // A cut is made where its packets arrive; clients have no rules of their own.
    const nodes = [...changed].flatMap((cut) => {
      const [from = '', to = ''] = cut.split('>');
      return to === CLIENTS ? [from] : [to];
    });
    this.#changing = this.#changing.then(async () => {
      await Promise.all([...new Set(nodes)].map((name) => this.#writeRules(name)));
    });
    await this.#changing;
  }

  close(): void {
    for (const proxy of this.#proxies.values()) proxy.close();
  }

  #stateOf(link: string): LinkState {
    const [from = '', to = ''] = link.split('>');
    return {
      trouble: this.#troubles.get(to) ?? null,
      cutOut: this.#cuts.has(`${from}>${to}`),
      cutBack: this.#cuts.has(`${to}>${from}`),
    };
  }

  #isProxied(to: string): boolean {
    return this.#options.kind === 'loopback' || this.#options.proxied.includes(to);
  }

  /** Where the proxy of a link listens. */
  #linkAddress(from: string, to: string): string {
    const net = this.#options.kind === 'namespaces' ? '10.77' : '127.77';
    return `${net}.${PLACES.indexOf(from) + 1}.${NODES.indexOf(to) + 1}`;
  }

  async #openProxies(): Promise<void> {
    const { ports, seed } = this.#options;
    const random = seededRandom(seed);
    for (const from of PLACES) {
      for (const to of NODES) {
        const isClientOfVolume = from === CLIENTS && !to.startsWith('c');
        if (from === to || isClientOfVolume || !this.#isProxied(to)) continue;
        const port = from === CLIENTS ? ports.http : ports.grpc;
        const at = { host: this.#linkAddress(from, to), port };
        const target = { host: this.addressOf(to), port };
        this.#proxies.set(`${from}>${to}`, await LinkProxy.open(at, target, random));
      }
    }
  }

  async #writeHosts(from: string): Promise<void> {
    const rows = NODES.map((to) => {
      const isDirect = from === to || !this.#isProxied(to);
      return [`${to}.test`, [isDirect ? this.addressOf(to) : this.#linkAddress(from, to)]] as const;
    });
    await writeFile(this.hostsFile(from), JSON.stringify(Object.fromEntries(rows)));
  }

  /** One bridge with the clients on it, and a cable from it into each process's namespace. */
  async #makeNamespaces(): Promise<void> {
    await ip('link', 'set', 'lo', 'up');
    await ip('link', 'add', 'hub', 'type', 'bridge');
    await ip('link', 'set', 'hub', 'up');
    await ip('addr', 'add', `${HUB}/16`, 'dev', 'hub');
    for (const [i, name] of NODES.entries()) {
      const cable = `cable${i}`;
      await ip('netns', 'add', name);
      await ip('link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
      await ip('link', 'set', cable, 'master', 'hub', 'up');
      await ip('-n', name, 'addr', 'add', `${this.addressOf(name)}/16`, 'dev', 'eth0');
      await ip('-n', name, 'link', 'set', 'eth0', 'up');
      await ip('-n', name, 'link', 'set', 'lo', 'up');
      if (!this.#isProxied(name)) continue;
      for (const from of PLACES.filter((place) => place !== name)) {
        await ip('addr', 'add', `${this.#linkAddress(from, name)}/32`, 'dev', 'hub');
      }
    }
  }

  async #writeRules(name: string): Promise<void> {
    const from = NODES.filter((other) => this.#cuts.has(`${other}>${name}`));
    const drops = from.map((other) => `ip saddr ${this.addressOf(other)} drop;`);
    const { http } = this.#options.ports;
    if (this.#cuts.has(`${CLIENTS}>${name}`)) drops.push(`ip saddr ${HUB} tcp dport ${http} drop;`);
    const answers = this.#cuts.has(`${name}>${CLIENTS}`)
      ? [`ip daddr ${HUB} tcp sport ${http} drop;`]
      : [];
    const rules = [
      ...['add table inet chaos', 'delete table inet chaos', 'table inet chaos {'],
      `chain in { type filter hook input priority 0; ${drops.join(' ')} }`,
      `chain out { type filter hook output priority 0; ${answers.join(' ')} }`,
      '}',
    ];
    const path = join(this.#options.folder, `rules-${name}.nft`);
    await writeFile(path, `${rules.join('\n')}\n`);
    await run('ip', ['netns', 'exec', name, 'nft', '-f', path]);
  }
}

const HUB = '10.77.0.1';

const ip = async (...args: readonly string[]): Promise<void> => {
  await run('ip', [...args]);
};

/** All cuts that part these processes (and whoever else is named) from the rest, both ways. */
export function cutsBetween(inside: readonly string[], outside: readonly string[]): readonly Cut[] {
  return inside.flatMap((a) =>
    outside.flatMap((b): Cut[] => [`${present(a, 'a name')}>${b}`, `${b}>${a}`]),
  );
}

export const others = (names: readonly string[]): readonly string[] =>
  NODES.filter((name) => !names.includes(name));
