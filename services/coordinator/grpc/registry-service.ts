/**
 * The registry as served to volumes. Register is proposed here and answered from the own applied
 * state, so an answered session is current; questions are answered only by a state that holds the
 * asking disk's session. Any coordinator may answer: what it permits stays permitted.
 */
import type { Clock } from '../../common/clock.ts';
import { type ErrorCode, KvError } from '../../common/errors.ts';
import { failpoint } from '../../common/failpoint.ts';
import {
  copyIdFrom,
  type DiskId,
  diskId,
  type Session,
  session,
  txnIdFrom,
} from '../../common/ids.ts';
import type { Consensus } from '../../consensus/types.ts';
import { encodeCommand } from '../../metadata/command-codec.ts';
import type { Applied, AskAnswer, RegisterResult } from '../../metadata/machine.ts';
import type { Hello } from '../../rpc/generated/common.ts';
import type {
  Answer,
  CoordinatorFrame,
  Heartbeat,
  Question,
  RegisterRequest,
  RosterRow,
  VolumeFrame,
} from '../../rpc/generated/registry.ts';
import { checkHello, helloTo, type Introduction } from '../../rpc/hello.ts';
import type { Outgoing, StreamEvents } from '../../rpc/types.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { LIMITS } from '../limits.ts';
import type { Metadata } from '../metadata-port.ts';
import type { RegistryMetrics } from '../metrics.ts';
import type { VolumeRegistry } from '../volume-registry.ts';

export interface RegistryServiceComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly consensus: Consensus;
  readonly metadata: Metadata;
  readonly registry: VolumeRegistry;
  readonly metrics: RegistryMetrics;
  readonly introduce: () => Introduction;
  /** Somebody waits for a decision: the marks should move. */
  readonly hintAdvance: () => void;
}

const QUESTIONS_MAX = 4096;
const ID_BYTES = 16;
const DISK_MAX = 2 ** 32 - 1;
const VERDICTS = { KEEP: 1, DROP: 2, LATER: 3 } as const satisfies Record<AskAnswer, number>;
type Refusal = Extract<RegisterResult, { kind: 'refused' }>['why'];

const REFUSALS = {
  'unknown-disk': ['IDENTITY_MISMATCH', 'this cluster knows no such disk'],
  'disk-gone': ['IDENTITY_MISMATCH', 'this disk was declared gone for good'],
  'other-volume': ['IDENTITY_MISMATCH', 'this disk belongs to a volume of another name'],
  'stale-boot': ['STALE_SESSION', 'a later start of this disk has registered already'],
} as const satisfies Record<Refusal, readonly [ErrorCode, string]>;

/** Serves `Registry.Session`: give `accept` to the rpc server. */
export class RegistryService {
  readonly #components: RegistryServiceComponents;
  readonly #sessions = new Set<VolumeSession>();
  #isRosterDue = false;

  constructor(components: RegistryServiceComponents) {
    this.#components = components;
  }

  start(): void {
    const { metadata, registry } = this.#components;
    metadata.onApplied((applied) => {
      for (const { result } of applied) if (result.kind === 'registered') this.#registered(result);
    });
    registry.onChange(() => this.#rosterSoon());
  }

  /** Ends all streams: the volumes go to other coordinators. */
  stop(): void {
    const reason = new KvError('STOPPING', 'this coordinator is stopping');
    for (const volume of this.#sessions) volume.close(reason);
  }

  accept(outgoing: Outgoing<CoordinatorFrame>): StreamEvents<VolumeFrame> {
    const volume = new VolumeSession(this.#components, outgoing);
    this.#sessions.add(volume);
    return {
      onMessage: (frame) => {
        const wasGreeted = volume.isGreeted;
        volume.take(frame);
        if (!wasGreeted && volume.isGreeted) volume.sendRoster(this.#roster());
      },
      onClosed: () => {
        this.#sessions.delete(volume);
        this.#components.registry.closed(volume);
      },
    };
  }

  #registered({ nonce, result }: Extract<Applied, { kind: 'registered' }>): void {
    for (const volume of this.#sessions) {
      volume.registered(nonce, result);
      if (result.kind === 'accepted') volume.supersede(result.disk, result.session);
    }
  }

  /** One roster a turn, however much has changed. */
  #rosterSoon(): void {
    if (this.#isRosterDue) return;
    this.#isRosterDue = true;
    this.#components.clock.soon(() => {
      this.#isRosterDue = false;
      const roster = this.#roster();
      for (const volume of this.#sessions) volume.sendRoster(roster);
    });
  }

  #roster(): RosterRow[] {
    return this.#components.registry
      .live()
      .map(({ disk, name, grpcAddress }) => ({ disk, name, grpcAddress }));
  }
}

/** One volume's stream. */
class VolumeSession {
  readonly #components: RegistryServiceComponents;
  readonly #outgoing: Outgoing<CoordinatorFrame>;
  #hello: Hello | null = null;
  #awaitedNonce: string | null = null;
  /** What the last Register named. */
  #askedDisk: DiskId = diskId(0);
  #disk: DiskId = diskId(0);
  #session: Session = session(0);

  constructor(components: RegistryServiceComponents, outgoing: Outgoing<CoordinatorFrame>) {
    this.#components = components;
    this.#outgoing = outgoing;
  }

  get isGreeted(): boolean {
    return this.#hello !== null;
  }

  close(reason: KvError): void {
    this.#outgoing.close(reason);
  }

  /** @throws KvError, which closes the stream. */
  take({ body }: VolumeFrame): void {
    if (body === undefined) return;
    if (body.$case === 'hello') {
      this.#greet(body.value);
      return;
    }
    if (!this.isGreeted) throw new KvError('INVALID_ARGUMENT', 'a stream begins with hello');
    switch (body.$case) {
      case 'register':
        this.#register(body.value);
        return;
      case 'heartbeat':
        this.#heartbeat(body.value);
        return;
      case 'leaving':
        if (this.#disk !== 0) this.#components.registry.leaving(this.#disk);
        return;
      case 'questions':
        this.#answer(body.value.questions);
        return;
    }
  }

  /** A Register was applied; ours, if the nonce is. */
  registered(nonce: string, result: RegisterResult): void {
    if (nonce !== this.#awaitedNonce) return;
    failpoint('registry.registered');
    this.#awaitedNonce = null;
    if (result.kind === 'refused') {
      const [code, message] = REFUSALS[result.why];
      this.#refuse(code, message, this.#laterBoots(result.why));
      return;
    }
    const { metadata } = this.#components;
    const { clusterId, redirectKey } = metadata.cluster;
    this.#disk = result.disk;
    this.#session = result.session;
    const reconcile = metadata.disk(result.disk)?.reconciled === false;
    const value = { disk: result.disk, session: result.session, clusterId, redirectKey, reconcile };
    this.#outgoing.send({ body: { $case: 'registered', value } });
  }

  /** A newer session of `disk` exists: whoever runs in an older one must stop. */
  supersede(disk: DiskId, newer: Session): void {
    if (this.#disk !== disk || this.#session === 0 || this.#session >= newer) return;
    this.#components.registry.closed(this);
    this.#outgoing.send({ body: { $case: 'superseded', value: { session: newer } } });
  }

  sendRoster(volumes: RosterRow[]): void {
    if (this.isGreeted) this.#outgoing.send({ body: { $case: 'roster', value: { volumes } } });
  }

  #greet(hello: Hello): void {
    const { introduce, logger, metadata, metrics } = this.#components;
    const self = introduce();
    const known = metadata.cluster.clusterId;
    const clusterId = known === '' ? null : known;
    const wrong = checkHello({ role: 'volume', clusterId, to: self.from }, hello);
    if (wrong !== null) {
      metrics.helloRefusals.add();
      const { remote } = this.#outgoing;
      logger.warn({ remote, volume: hello.name, reason: wrong.message }, 'volume refused');
      throw wrong;
    }
    this.#hello = hello;
    this.#outgoing.send({ body: { $case: 'hello', value: helloTo(self, hello.from) } });
  }

  /** @throws KvError, which closes the stream. */
  #register(request: RegisterRequest): void {
    const { consensus, metadata } = this.#components;
    if (metadata.cluster.clusterId === '') {
      this.#refuse('NOT_READY', 'the cluster is still being formed');
      return;
    }
    // A command has 32 bits for it: a larger number would be another disk's.
    if (request.disk > DISK_MAX) throw new KvError('INVALID_ARGUMENT', 'no disk has such a number');
    const { nonce, boots, clean, capacityBytes } = request;
    this.#awaitedNonce = nonce;
    this.#askedDisk = diskId(request.disk);
    const command = encodeCommand({
      kind: 'register',
      disk: diskId(request.disk),
      volume: request.name,
      boots,
      nonce,
      clean,
      zone: request.zone ?? null,
      capacityBytes,
    });
    const refused = (why: string): void => {
      if (this.#awaitedNonce === nonce) this.#refuse('NO_LEADER', `not proposed: ${why}`);
    };
    // After a restart of all, volumes are here before there is a leader.
    consensus.awaitLeader(LIMITS.leaderPatienceMs).then(
      () => consensus.propose(command, refused),
      () => refused('no-leader'),
    );
  }

  #heartbeat(beat: Heartbeat): void {
    const { registry } = this.#components;
    if (beat.disk === 0 || beat.session === 0) {
      throw new KvError('INVALID_ARGUMENT', 'a heartbeat before registration');
    }
    this.#disk = diskId(beat.disk);
    this.#session = session(beat.session);
    const { name = '', bootId = 0, address: directAddress = '' } = this.#hello ?? {};
    const self = { name, bootId, directAddress };
    const vitals = { ...beat, ...self, disk: this.#disk, session: this.#session };
    const newer = registry.heard(vitals, this);
    if (newer !== null) this.supersede(this.#disk, newer);
  }

  #answer(questions: readonly Question[]): void {
    const { hintAdvance, metadata } = this.#components;
    if (questions.length > QUESTIONS_MAX) throw new KvError('TOO_LARGE', 'too many questions');
    // A state older than the session knows nothing of what the volume holds; it will ask again.
    if (this.#session === 0 || metadata.appliedIndex < this.#session) return;
    // Nor does one that may be wrong: a DROP is for ever.
    if (!metadata.isTrusted) return;
    const answers = questions.map((question): Answer => {
      if (question.copyId.length !== ID_BYTES || question.txnId.length !== ID_BYTES) {
        throw new KvError('INVALID_ARGUMENT', 'an id of another length');
      }
      return { copyId: question.copyId, verdict: VERDICTS[this.#verdict(question)] };
    });
    this.#outgoing.send({ body: { $case: 'answers', value: { answers } } });
    if (answers.some(({ verdict }) => verdict === VERDICTS.LATER)) hintAdvance();
  }

  #verdict({ copyId: id, txnId: txn, owner }: Question): AskAnswer {
    // No key is empty: the volume could not read whose copy this is, so nobody may let it go.
    if (owner.length === 0) return 'LATER';
    return this.#components.metadata.ask({
      disk: this.#disk,
      copyId: copyIdFrom(id),
      txnId: txnIdFrom(txn),
      owner,
    });
  }

  /**
   * How often a disk was started, to one that knows of fewer starts: an older image of it may go on
   * from there. 0 while a later start is heard, as two processes must not push each other out.
   */
  #laterBoots(why: Refusal): number {
    const { metadata, registry } = this.#components;
    if (why !== 'stale-boot' || registry.find(this.#askedDisk) !== undefined) return 0;
    return metadata.disk(this.#askedDisk)?.boots ?? 0;
  }

  #refuse(code: ErrorCode, message: string, laterBoots = 0): void {
    this.#awaitedNonce = null;
    this.#outgoing.send({ body: { $case: 'refused', value: { code, message, laterBoots } } });
  }
}
