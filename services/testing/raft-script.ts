/**
 * A small language for stories about a Raft cluster, one command a line. Messages wait on the wire
 * until `deliver`, writes wait for `sync`; `stabilize` runs both until nothing moves. Every command
 * answers with what it changed: messages delivered, roles, commits, reads, refusals.
 */
import { assert, present } from '../common/assert.ts';
import { textOf, utf8 } from '../common/bytes.ts';
import { logIndex, nodeId, term } from '../common/ids.ts';
import type { Message } from '../raft/messages.ts';
import type { Entry, LogPoint } from '../raft/types.ts';
import { RaftCluster } from './raft-cluster.ts';

/** Every node draws this: timeouts of 15 ticks, a suspicion after as much as fits. */
const DRAW = 5;
const ROUNDS_MAX = 60;

export class RaftScript {
  #cluster = new RaftCluster({ size: 1, randomBelow: () => 0 });
  readonly #draws = new Map<number, number>();
  #held: Message[] = [];
  #blocked = new Set<string>();
  #out: string[] = [];
  #seen = new Map<number, string>();
  #outcomesSeen = 0;

  /** Runs one command; answers what it changed, line by line. */
  run(line: string): readonly string[] {
    this.#out = [];
    const [name = '', ...args] = line.split(/\s+/);
    const command = present(this.#commands[name], `command ${name}`);
    command(args);
    this.#reportChanges();
    return this.#out;
  }

  readonly #commands: Readonly<Record<string, (args: readonly string[]) => void>> = {
    nodes: ([size, ...limits]) => this.#create(Number(size), limits),
    random: ([id, draw]) => this.#draws.set(Number(id), Number(draw)),
    tick: ([id, count]) => this.#tick(Number(id), Number(count ?? 1)),
    campaign: ([id]) => this.#campaign(Number(id)),
    propose: ([id, ...texts]) => {
      for (const text of texts) this.#cluster.propose(Number(id), 1, text);
    },
    read: ([id, readId]) => this.#cluster.read(Number(id), Number(readId)),
    deliver: ([from, to]) => this.#deliver(this.#take(from, to)),
    repeat: ([from, to]) => this.#deliver(this.#matching(from, to)),
    drop: ([from, to]) => this.#take(from, to),
    hold: ([from, to]) => this.#held.push(...this.#take(from, to)),
    release: ([order]) => {
      const held = this.#held.splice(0);
      this.#deliver(order === 'reversed' ? held.reverse() : held);
    },
    block: ([from, to]) => this.#blocked.add(`${from}>${to}`),
    cut: ([id]) => this.#cut(Number(id)),
    heal: () => this.#blocked.clear(),
    sync: ([id, count]) => this.#cluster.sync(Number(id), Number(count ?? Infinity)),
    stabilize: (ids) => this.#stabilize(ids.map(Number)),
    crash: ([id, survivors]) => this.#cluster.crash(Number(id), Number(survivors ?? 0)),
    restart: ([id]) => this.#restart(Number(id)),
    'lose-log': ([id, kept]) => this.#cluster.loseLog(Number(id), Number(kept)),
    open: ([id]) => {
      this.#cluster.core(Number(id)).connectionOpened();
      this.#cluster.collect(Number(id));
    },
    close: ([id, peer]) => {
      this.#cluster.core(Number(id)).connectionClosed(nodeId(Number(peer)));
      this.#cluster.collect(Number(id));
    },
    unreachable: ([id, peer]) => {
      this.#cluster.core(Number(id)).peerUnreachable(nodeId(Number(peer)));
      this.#cluster.collect(Number(id));
    },
    transfer: ([id, to]) => {
      this.#cluster.core(Number(id)).transferLeadership(nodeId(Number(to)));
      this.#cluster.collect(Number(id));
    },
    stop: ([id]) => this.#cluster.core(Number(id)).beginStop(),
    flush: ([id]) => this.#cluster.flush(Number(id)),
    compact: ([id]) => {
      this.#cluster.flush(Number(id));
      this.#cluster.compact(Number(id));
    },
    snapshot: ([fate]) => {
      for (const transfer of this.#cluster.transfers.splice(0)) {
        this.#say(`snapshot ${transfer.from}->${transfer.to} ${point(transfer.point)}`);
        this.#cluster.finishTransfer(transfer, fate !== 'fails');
      }
    },
    'snapshot-ready': ([id, at = '', from, sentTerm]) => {
      const core = this.#cluster.core(Number(id));
      core.snapshotReady(pointOf(at), nodeId(Number(from)), term(Number(sentTerm)));
      this.#cluster.collect(Number(id));
    },
    inject: ([kind = '', ...fields]) => this.#deliver([this.#forge(kind, fields)]),
    persisted: ([id, at = '']) => {
      this.#cluster.core(Number(id)).persisted(pointOf(at));
      this.#cluster.collect(Number(id));
    },
    wire: () => {
      for (const message of this.#cluster.wire) this.#say(describe(message));
    },
    log: (ids) => {
      for (const id of ids) this.#log(Number(id));
    },
    peers: ([id]) => {
      for (const peer of this.#cluster.core(Number(id)).status().peers) {
        this.#say(`${peer.node}: ${peer.state} match ${peer.match} next ${peer.next}`);
      }
    },
    status: (ids) => {
      for (const id of ids) this.#say(this.#describeNode(Number(id)));
    },
  };

  #create(size: number, limits: readonly string[]): void {
    this.#cluster = new RaftCluster({
      size,
      randomBelow: (node, bound) => Math.min(this.#draws.get(node) ?? DRAW, bound - 1),
      limits: Object.fromEntries(limits.map((limit) => keyAndNumber(limit))),
    });
    for (const id of this.#cluster.nodes.keys()) this.#seen.set(id, this.#describeNode(id));
  }

  #tick(id: number, count: number): void {
    for (let i = 0; i < count; i += 1) {
      this.#cluster.core(id).tick();
      this.#cluster.collect(id);
    }
  }

  /** Ticks until the node asks for votes. */
  #campaign(id: number): void {
    const core = this.#cluster.core(id);
    assert(core.status().role === 'follower', 'a follower campaigns');
    for (let i = 0; i < ROUNDS_MAX && core.status().role === 'follower'; i += 1) this.#tick(id, 1);
    assert(core.status().role !== 'follower', 'the campaign began');
  }

  #cut(id: number): void {
    for (const other of this.#cluster.nodes.keys()) {
      this.#blocked.add(`${id}>${other}`);
      this.#blocked.add(`${other}>${id}`);
    }
  }

  #restart(id: number): void {
    this.#cluster.start(id);
    this.#cluster.collect(id);
  }

  #matching(from?: string, to?: string): Message[] {
    return this.#cluster.wire.filter(
      (message) =>
        (from === undefined || from === '*' || message.from === Number(from)) &&
        (to === undefined || to === '*' || message.to === Number(to)),
    );
  }

  #take(from?: string, to?: string): Message[] {
    const taken = this.#matching(from, to);
    const left = this.#cluster.wire.filter((message) => !taken.includes(message));
    this.#cluster.wire.splice(0, Infinity, ...left);
    return taken;
  }

  #deliver(messages: readonly Message[]): void {
    for (const message of messages) {
      const isBlocked = this.#blocked.has(`${message.from}>${message.to}`);
      this.#say(`${isBlocked ? 'lost ' : ''}${describe(message)}`);
      if (!isBlocked) this.#cluster.deliver(message);
    }
  }

  /** Delivers and syncs until nothing moves, among the given nodes or all. */
  #stabilize(ids: readonly number[]): void {
    const nodes = ids.length > 0 ? ids : [...this.#cluster.nodes.keys()];
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      for (const id of nodes) if (this.#cluster.node(id).core !== null) this.#cluster.sync(id);
      const messages = this.#matching().filter(
        ({ from, to }) => nodes.includes(from) && nodes.includes(to),
      );
      if (messages.length === 0) return;
      for (const message of messages) {
        this.#cluster.wire.splice(this.#cluster.wire.indexOf(message), 1);
        const isBlocked = this.#blocked.has(`${message.from}>${message.to}`);
        if (!isBlocked) this.#cluster.deliver(message);
      }
    }
    assert(false, 'the cluster comes to rest');
  }

  #reportChanges(): void {
    for (const id of this.#cluster.nodes.keys()) {
      const now = this.#describeNode(id);
      if (now !== this.#seen.get(id)) this.#say(now);
      this.#seen.set(id, now);
    }
    for (const outcome of this.#cluster.outcomes.slice(this.#outcomesSeen)) {
      if (outcome.kind === 'read') {
        this.#say(`${outcome.node}: read ${outcome.readId} at ${outcome.index}`);
      } else if (outcome.kind === 'lost-read') {
        this.#say(`${outcome.node}: read ${outcome.readId} lost`);
      } else this.#say(`${outcome.node}: proposal refused, ${outcome.reason}`);
    }
    this.#outcomesSeen = this.#cluster.outcomes.length;
  }

  #describeNode(id: number): string {
    const { core } = this.#cluster.node(id);
    if (core === null) return `${id}: down`;
    const { role, term: now, leader, commit, lastIndex, recovering, vote } = core.status();
    const flags = recovering ? ', recovering' : '';
    return `${id}: ${role} term ${now} vote ${vote} leader ${leader} commit ${commit} last ${lastIndex}${flags}`;
  }

  #log(id: number): void {
    const { log, disk } = this.#cluster.node(id);
    const entries = [...log.values()].filter((entry) => entry.index > disk.base.index);
    this.#say(`${id}: base ${point(disk.base)} log ${entries.map(describeEntry).join(' ')}`.trim());
  }

  /** A message as no core may have sent it: the fields given, the rest at zero. */
  #forge(kind: string, fields: readonly string[]): Message {
    const given = new Map(fields.map((field) => [keyOf(field), valueOf(field)]));
    const number = (name: string): number => Number(given.get(name) ?? 0);
    const at = (name: string): LogPoint => pointOf(given.get(name) ?? '0/0');
    const from = number('from');
    const to = number('to');
    assert(kind in DETAILS, `cannot forge ${kind}`);
    return {
      kind,
      from: nodeId(from),
      to: nodeId(to),
      term: term(number('term')),
      fromBoot: number('boot') || (this.#cluster.nodes.get(from)?.disk.bootId ?? 1),
      toBoot: number('toBoot') || this.#cluster.node(to).disk.bootId,
      commit: logIndex(number('commit')),
      lastIndex: logIndex(number('last')),
      previous: at('previous'),
      entries: entriesOf(given.get('entries') ?? ''),
      readToken: number('token'),
      success: given.get('success') !== 'false',
      index: logIndex(number('index')),
      hint: at('hint'),
      last: at('log'),
      pre: given.get('pre') === 'true',
      granted: true,
      transfer: false,
      leaderSuspected: false,
      recovering: false,
      stopping: false,
    } as unknown as Message;
  }

  #say(line: string): void {
    this.#out.push(line);
  }
}

const keyOf = (field: string): string => field.slice(0, field.indexOf('='));
const valueOf = (field: string): string => field.slice(field.indexOf('=') + 1);
const keyAndNumber = (field: string): [string, number] => [keyOf(field), Number(valueOf(field))];

const point = ({ index, term: at }: LogPoint): string => `${index}/${at}`;

/** `3/2`: index 3 of term 2. */
function pointOf(text: string): LogPoint {
  const [index, at] = text.split('/').map(Number);
  return { index: logIndex(index ?? 0), term: term(at ?? 0) };
}

/** `3/2=x,4/2`: a command and a noop. */
function entriesOf(text: string): Entry[] {
  return text
    .split(',')
    .filter((part) => part !== '')
    .map((part) => {
      const [at = '', data = ''] = part.split(':');
      return { ...pointOf(at), kind: data === '' ? 'noop' : 'command', data: utf8(data) };
    });
}

const describeEntry = (entry: Entry): string =>
  entry.kind === 'noop' ? point(entry) : `${point(entry)}:${textOf(entry.data)}`;

function describe(message: Message): string {
  const head = `${message.from}->${message.to} ${message.kind} term ${message.term}`;
  const details = DETAILS[message.kind] as (of: Message) => string;
  return `${head} ${details(message)}`.trim();
}

type Of<Kind> = Extract<Message, { readonly kind: Kind }>;

/** What is worth reading of each kind. */
const DETAILS: { readonly [Kind in Message['kind']]: (message: Of<Kind>) => string } = {
  'vote-request': ({ pre, transfer, leaderSuspected, last }) =>
    `${pre ? 'pre ' : ''}${transfer ? 'transfer ' : ''}${leaderSuspected ? 'suspected ' : ''}` +
    `last ${point(last)}`,
  'vote-reply': ({ pre, granted }) => `${pre ? 'pre ' : ''}${granted ? 'granted' : 'refused'}`,
  'append-request': ({ previous, entries, commit }) =>
    `after ${point(previous)} [${entries.map(describeEntry).join(' ')}] commit ${commit}`,
  'append-reply': ({ success, index, hint }) =>
    success ? `holds ${index}` : `refuses ${index} hint ${point(hint)}`,
  'heartbeat-request': ({ commit, readToken }) => `commit ${commit} token ${readToken}`,
  'heartbeat-reply': ({ readToken }) => `token ${readToken}`,
  'snapshot-staged': (message) => point(message.point),
  'timeout-now': () => '',
  propose: ({ commands }) => `[${commands.map(textOf).join(' ')}]`,
  'propose-refused': ({ reason }) => reason,
  'read-request': ({ requestId }) => `request ${requestId}`,
  'read-reply': ({ requestId, index }) => `request ${requestId} index ${index}`,
};
