/**
 * The volume's standing with the coordinators: one stream to each, a Register that starts the session
 * of this boot, heartbeats, questions and their answers. Nothing is staged before a coordinator has
 * answered the Register from its applied state; a superseded session ends the process. A folder that
 * is older than the cluster's knowledge of it raises its boots above that and registers as unclean.
 */
import { Backoff } from '../common/backoff.ts';
import type { Clock, Timer } from '../common/clock.ts';
import { asError, KvError } from '../common/errors.ts';
import { failpoint } from '../common/failpoint.ts';
import {
  type ClusterId,
  type CopyId,
  clusterId,
  copyIdFrom,
  type DiskId,
  diskId,
  isHex32,
  type Session,
  session,
} from '../common/ids.ts';
import type { Random } from '../common/random.ts';
import { SECOND_MS } from '../common/units.ts';
import type { Hello } from '../rpc/generated/common.ts';
import {
  type CoordinatorFrame,
  type Heartbeat,
  type Refused,
  type Registered,
  type RosterRow,
  type VolumeFrame,
} from '../rpc/generated/registry.ts';
import { helloTo } from '../rpc/hello.ts';
import type { LinkOptions } from '../rpc/link.ts';
import { REGISTRY_STREAM } from '../rpc/streams.ts';
import type { Link, Outgoing, StreamEvents } from '../rpc/types.ts';
import type { CopyInfo } from '../storage/types.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Verdict } from './asker.ts';

const REGISTER_TIMEOUT_MS = 2 * SECOND_MS;
const ID_BYTES = 16;
const VERDICTS: readonly (Verdict | undefined)[] = [undefined, 'KEEP', 'DROP', 'LATER'];
/** Refusals that asking again cannot mend. */
const FINAL_REFUSALS = new Set([
  'IDENTITY_MISMATCH',
  'WRONG_CLUSTER',
  'WRONG_NODE',
  'STALE_SESSION',
]);

export interface VolumeIdentity {
  readonly name: string;
  readonly clusterId: ClusterId | null;
  /** 0: unformatted. */
  readonly disk: DiskId;
  readonly boots: number;
  readonly nonce: string;
  readonly cleanStop: boolean;
}

/** How a link is opened: `openLink` of rpc/link.ts, or a stand-in. */
export type OpenLink = (options: LinkOptions<VolumeFrame, CoordinatorFrame>) => Link;

export interface RegistrationParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Makes the first registration of an unformatted folder durable. */
  readonly remember: (cluster: ClusterId, disk: DiskId) => Promise<void>;
  /** What the next heartbeat says besides disk and session. */
  readonly vitals: () => Omit<Heartbeat, 'disk' | 'session'>;
  readonly answered: (copy: CopyId, verdict: Verdict) => void;
  /** The cluster takes this start for unclean: every copy is to be asked about. */
  readonly reconcile: () => void;
  /** This folder is an older image: durable boots above `later`; answers them. */
  readonly raiseBoots: (later: number) => Promise<number>;
  readonly openLink: OpenLink;
  /** A coordinator's stream has closed: its name may mean another address by now. */
  readonly linkLost: () => void;
  /** This process must end: superseded, refused for good. */
  readonly onFatal: (error: Error) => void;
}

export interface RegistrationOptions {
  readonly identity: VolumeIdentity;
  readonly version: string;
  /** host:port of this very process, which others dial before its name has caught up. */
  readonly directAddress: string;
  readonly httpAddress: string;
  readonly zone: string | null;
  readonly capacityBytes: number;
  readonly heartbeatMs: number;
}

interface Stream {
  readonly outgoing: Outgoing<VolumeFrame>;
  greeted: boolean;
}

export class Registration {
  readonly #parts: RegistrationParts;
  readonly #options: RegistrationOptions;
  readonly #links = new Map<string, Link>();
  readonly #streams = new Set<Stream>();
  readonly #backoff: Backoff;
  #clusterId: ClusterId | null;
  #disk: DiskId;
  #session: Session = session(0);
  #redirectKey = '';
  #roster: readonly RosterRow[] = [];
  #leaving = false;
  #boots: number;
  #isClean: boolean;
  #registering: Timer | null = null;
  /** What must be durable before the next word of a registration is acted upon. */
  #durable: Promise<void> = Promise.resolve();
  #heart: Timer | null = null;
  /** Questions sent, to spread them. */
  #asked = 0;
  #stopped = false;

  constructor(parts: RegistrationParts, options: RegistrationOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#clusterId = options.identity.clusterId;
    this.#disk = options.identity.disk;
    this.#boots = options.identity.boots;
    this.#isClean = options.identity.cleanStop;
    this.#backoff = new Backoff(parts.random, { minMs: 100, maxMs: SECOND_MS });
  }

  get clusterId(): ClusterId | null {
    return this.#clusterId;
  }

  get disk(): DiskId {
    return this.#disk;
  }

  get session(): Session {
    return this.#session;
  }

  get redirectKey(): string {
    return this.#redirectKey;
  }

  /** host:port of another disk's data stream, as last told. */
  addressOf(disk: number): string | undefined {
    return this.#roster.find((row) => row.disk === disk)?.grpcAddress;
  }

  /** Opens links to new addresses and closes those to addresses that are gone. */
  follow(addresses: ReadonlySet<string>): void {
    if (this.#stopped) return;
    for (const [address, link] of this.#links) {
      if (addresses.has(address)) continue;
      link.close();
      this.#links.delete(address);
    }
    for (const address of addresses) {
      if (!this.#links.has(address)) this.#links.set(address, this.#dial(address));
    }
  }

  /** There is a stream to each coordinator that is followed. */
  get isWhole(): boolean {
    return [...this.#streams].filter(({ greeted }) => greeted).length >= this.#links.size;
  }

  hello(): Hello {
    const { identity, version, directAddress } = this.#options;
    const self = {
      clusterId: this.#clusterId ?? '',
      role: 'volume',
      name: identity.name,
      from: this.#disk,
      bootId: this.#boots,
      address: directAddress,
      version,
      httpAddress: this.#options.httpAddress,
    };
    return helloTo(self, 0);
  }

  /** Sends questions to one coordinator; false when none is there. */
  ask(copies: readonly CopyInfo[]): boolean {
    const greeted = [...this.#streams].filter((stream) => stream.greeted);
    const stream = greeted[this.#asked % greeted.length];
    if (stream === undefined || this.#session === 0) return false;
    // In turn: one that is cut off from the others learns no outcome and could only say LATER.
    this.#asked += 1;
    const questions = copies.map((copy) => ({
      copyId: Buffer.from(copy.copyId, 'hex'),
      txnId: Buffer.from(copy.txnId, 'hex'),
      owner: Buffer.from(copy.owner),
    }));
    stream.outgoing.send({ body: { $case: 'questions', value: { questions } } });
    return true;
  }

  /**
   * Tells all coordinators at once that this volume is about to stop. Heartbeats go on: a volume that
   * falls silent is taken for dead, and what is open on it would be cut off.
   */
  leave(): void {
    this.#leaving = true;
    this.#broadcast(this.#farewell());
  }

  /** Sends a heartbeat now, after a change that matters. */
  beat(): void {
    if (this.#session === 0) return;
    this.#broadcast(this.#heartbeat());
  }

  stop(): void {
    this.#stopped = true;
    this.#registering?.cancel();
    this.#heart?.cancel();
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }

  #dial(address: string): Link {
    return this.#parts.openLink({
      method: REGISTRY_STREAM,
      address: () => address,
      onOpen: (outgoing) => this.#accept(outgoing),
    });
  }

  #accept(outgoing: Outgoing<VolumeFrame>): StreamEvents<CoordinatorFrame> {
    const stream: Stream = { outgoing, greeted: false };
    this.#streams.add(stream);
    outgoing.send({ body: { $case: 'hello', value: this.hello() } });
    return {
      onMessage: (frame) => this.#take(stream, frame),
      onClosed: () => {
        this.#streams.delete(stream);
        if (!this.#stopped) this.#parts.linkLost();
      },
    };
  }

  /** @throws KvError, which closes the stream. */
  #take(stream: Stream, frame: CoordinatorFrame): void {
    const body = frame.body;
    if (body === undefined) return;
    switch (body.$case) {
      case 'hello':
        this.#greet(stream, body.value);
        return;
      case 'registered':
        this.#inTurn(() => this.#registered(body.value));
        return;
      case 'refused':
        this.#inTurn(() => this.#refused(body.value));
        return;
      case 'answers':
        for (const { copyId: bytes, verdict } of body.value.answers) {
          if (bytes.length !== ID_BYTES) throw new KvError('INVALID_ARGUMENT', 'no id of a copy');
          const answer = VERDICTS[verdict];
          if (answer !== undefined) this.#parts.answered(copyIdFrom(bytes), answer);
        }
        return;
      case 'roster':
        this.#roster = body.value.volumes;
        return;
      case 'superseded':
        this.#superseded(body.value.session);
        return;
    }
  }

  #greet(stream: Stream, hello: Hello): void {
    if (this.#clusterId !== null && hello.clusterId !== '' && hello.clusterId !== this.#clusterId) {
      this.#parts.logger.error(
        { theirs: hello.clusterId, ours: this.#clusterId, remote: stream.outgoing.remote },
        'coordinator belongs to another cluster',
      );
      stream.outgoing.close();
      return;
    }
    stream.greeted = true;
    if (this.#session === 0) this.#register(stream);
    else stream.outgoing.send(this.#heartbeat());
    if (this.#leaving) stream.outgoing.send(this.#farewell());
  }

  #register(stream: Stream): void {
    if (this.#registering !== null || this.#leaving) return;
    const { identity, zone, capacityBytes } = this.#options;
    stream.outgoing.send({
      body: {
        $case: 'register',
        value: {
          disk: this.#disk,
          name: identity.name,
          boots: this.#boots,
          nonce: identity.nonce,
          clean: this.#isClean,
          zone: zone ?? undefined,
          capacityBytes,
        },
      },
    });
    this.#retryRegisterAfter(REGISTER_TIMEOUT_MS);
  }

  #retryRegisterAfter(delayMs: number): void {
    this.#registering?.cancel();
    this.#registering = this.#parts.clock.after(delayMs, () => {
      this.#registering = null;
      if (this.#session !== 0 || this.#stopped) return;
      const candidates = [...this.#streams].filter(({ greeted }) => greeted);
      const next = candidates[this.#parts.random.below(Math.max(1, candidates.length))];
      if (next === undefined) this.#retryRegisterAfter(this.#backoff.next());
      else this.#register(next);
    });
  }

  /** One answer at a time: what an earlier one has to make durable is so before the next is read. */
  #inTurn(work: () => Promise<void>): void {
    this.#durable = this.#durable.then(work);
    this.#durable.catch((error: unknown) => this.#parts.onFatal(asError(error)));
  }

  async #refused({ code, message, laterBoots }: Refused): Promise<void> {
    if (this.#session !== 0 || this.#stopped) return;
    if (code === 'STALE_SESSION' && laterBoots > 0) {
      await this.#goOnBehind(laterBoots);
      return;
    }
    if (FINAL_REFUSALS.has(code)) {
      this.#parts.onFatal(new KvError('IDENTITY_MISMATCH', message, { detail: { code } }));
      return;
    }
    this.#parts.logger.info({ code, reason: message }, 'registration put off');
    this.#retryRegisterAfter(this.#backoff.next());
  }

  /** An older image of the disk: what the later starts kept is looked for once this one is known. */
  async #goOnBehind(later: number): Promise<void> {
    // An answer to a Register that was sent before boots were raised.
    if (later < this.#boots) return;
    const before = this.#boots;
    this.#boots = await this.#parts.raiseBoots(later);
    this.#isClean = false;
    const fields = { boots: this.#boots, before, later };
    this.#parts.logger.warn(fields, 'the folder is an older image of its disk');
    this.#retryRegisterAfter(this.#backoff.next());
  }

  async #registered(answer: Registered): Promise<void> {
    if (this.#stopped || !isHex32(answer.clusterId)) return;
    const cluster = clusterId(answer.clusterId);
    const disk = diskId(answer.disk);
    if (!this.#isOurs(cluster, disk)) {
      const ours = `disk ${this.#disk} of cluster ${this.#clusterId ?? 'none'}`;
      const message = `registered as disk ${disk} of cluster ${cluster}, not ${ours}`;
      this.#parts.onFatal(new KvError('IDENTITY_MISMATCH', message));
      return;
    }
    failpoint('registration.answered');
    if (this.#disk === 0) {
      // Durable before the first vote: a folder must never be given a second number.
      await this.#parts.remember(cluster, disk);
    }
    this.#clusterId = cluster;
    this.#disk = disk;
    this.#redirectKey = answer.redirectKey;
    if (this.#session !== 0) return;
    if (answer.reconcile) this.#parts.reconcile();
    this.#session = session(answer.session);
    this.#registering?.cancel();
    this.#registering = null;
    failpoint('registration.begun');
    this.#parts.logger.info({ disk, session: answer.session }, 'registered');
    this.#pulse();
  }

  /** A folder keeps cluster and number of its first registration for ever. */
  #isOurs(cluster: ClusterId, disk: DiskId): boolean {
    if (this.#clusterId !== null && this.#clusterId !== cluster) return false;
    return this.#disk === 0 || this.#disk === disk;
  }

  #superseded(newer: number): void {
    if (newer <= this.#session) return;
    this.#parts.onFatal(
      new KvError(
        'STALE_SESSION',
        `another process runs this volume's disk ${this.#disk} in session ${newer}; this one must stop`,
      ),
    );
  }

  #pulse(): void {
    if (this.#stopped) return;
    this.beat();
    this.#heart = this.#parts.clock.after(this.#options.heartbeatMs, () => this.#pulse());
  }

  #heartbeat(): VolumeFrame {
    const value = { disk: this.#disk, session: this.#session, ...this.#parts.vitals() };
    return { body: { $case: 'heartbeat', value } };
  }

  #farewell(): VolumeFrame {
    return { body: { $case: 'leaving', value: { disk: this.#disk } } };
  }

  #broadcast(frame: VolumeFrame): void {
    for (const stream of this.#streams) if (stream.greeted) stream.outgoing.send(frame);
  }
}
