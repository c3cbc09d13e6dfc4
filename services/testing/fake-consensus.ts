/**
 * A log of one node that tests hold in their hands: proposals are applied on the clock's next turn,
 * or held, lost or refused. Held ones may be applied later, more than once, in any order.
 */
import type { Clock } from '../common/clock.ts';
import { KvError } from '../common/errors.ts';
import { type LogIndex, logIndex, NOBODY, type NodeId, nodeId, term } from '../common/ids.ts';
import type { Consensus } from '../consensus/types.ts';
import { decodeCommand, encodeCommand } from '../metadata/command-codec.ts';
import type { Command } from '../metadata/commands.ts';
import type { ProposalRefusal, RaftStatus } from '../raft/types.ts';
import type { MemoryMetadata } from './memory-metadata.ts';

export class FakeConsensus implements Consensus {
  readonly #clock: Clock;
  readonly #metadata: MemoryMetadata;
  /** What happens to proposals. */
  mode: 'apply' | 'hold' | 'lose' | 'refuse' = 'apply';
  /** Fails barriers while true. */
  isCutOff = false;
  /** Called in each barrier, before it resolves. */
  onBarrier: () => void = () => undefined;
  barriers = 0;
  leader: NodeId = nodeId(1);
  role: RaftStatus['role'] = 'leader';
  /** What a leader knows of its followers. */
  peers: RaftStatus['peers'] = [];
  readonly proposed: Uint8Array[] = [];
  /** Kept, as consensus keeps them while a refusal may still come. */
  readonly refusals: ((reason: ProposalRefusal) => void)[] = [];
  readonly #held: Uint8Array[] = [];
  readonly #listeners: ((status: RaftStatus) => void)[] = [];

  constructor(clock: Clock, metadata: MemoryMetadata) {
    this.#clock = clock;
    this.#metadata = metadata;
  }

  get commit(): LogIndex {
    return this.#metadata.appliedIndex;
  }

  get commands(): readonly Command[] {
    return this.proposed.map((bytes) => decodeCommand(bytes));
  }

  commandsOf<Kind extends Command['kind']>(
    kind: Kind,
  ): readonly Extract<Command, { kind: Kind }>[] {
    return this.commands.filter(
      (command): command is Extract<Command, { kind: Kind }> => command.kind === kind,
    );
  }

  propose(command: Uint8Array, refused: (reason: ProposalRefusal) => void): void {
    const bytes = Uint8Array.from(command);
    this.proposed.push(bytes);
    this.refusals.push(refused);
    if (this.mode === 'apply') this.#clock.soon(() => this.apply(decodeCommand(bytes)));
    else if (this.mode === 'hold') this.#held.push(bytes);
    else if (this.mode === 'refuse') this.#clock.soon(() => refused('no-leader'));
  }

  /** Proposals that wait to be released. */
  get held(): number {
    return this.#held.length;
  }

  /** Commits and applies a command, from wherever it may come. */
  apply(command: Command): LogIndex {
    const index = logIndex(this.#metadata.appliedIndex + 1);
    this.#metadata.apply(index, decodeCommand(encodeCommand(command)));
    return index;
  }

  /** Applies what was held, in order. */
  release(): void {
    for (const bytes of this.#held.splice(0)) this.apply(decodeCommand(bytes));
  }

  async readBarrier(): Promise<LogIndex> {
    this.barriers += 1;
    if (this.isCutOff) throw new KvError('NO_LEADER', 'cut off');
    this.onBarrier();
    return this.#metadata.appliedIndex;
  }

  async waitApplied(index: LogIndex): Promise<void> {
    if (this.#metadata.appliedIndex < index) throw new KvError('DEADLINE_EXCEEDED', 'not yet');
  }

  awaitLeader(timeoutMs: number): Promise<void> {
    if (this.leader !== NOBODY) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(timeoutMs, () => {
        reject(new KvError('NO_LEADER', 'no leader at present'));
      });
      this.onLeadership(({ leader }) => {
        if (leader === NOBODY) return;
        timer.cancel();
        resolve();
      });
    });
  }

  status(): RaftStatus {
    const commit = this.#metadata.appliedIndex;
    return {
      role: this.role,
      term: term(1),
      vote: nodeId(0),
      leader: this.leader,
      commit,
      applied: commit,
      lastIndex: commit,
      baseIndex: logIndex(0),
      logBytes: 0,
      recovering: false,
      transferTarget: nodeId(0),
      leaderContactTicks: 0,
      peers: this.peers,
    };
  }

  leaderContactMs(): number {
    return 0;
  }

  caughtUp(): boolean {
    return true;
  }

  async transferLeadership(target: NodeId): Promise<NodeId> {
    return target;
  }

  onLeadership(listener: (status: RaftStatus) => void): void {
    this.#listeners.push(listener);
  }

  changeLeader(leader: NodeId): void {
    this.leader = leader;
    for (const listener of this.#listeners) listener(this.status());
  }

  beginStop(): void {}
}
