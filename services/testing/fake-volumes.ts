/**
 * Volumes in memory behind the ports of the coordinator, each with a mood: well, failing, silent (never
 * answers) or full. Copies have the states that the design gives them.
 */

import { concatBytes } from '../common/bytes.ts';
import type { Clock } from '../common/clock.ts';
import { digestOf } from '../common/digest.ts';
import { asError, KvError } from '../common/errors.ts';
import { type CopyId, type Digest, type DiskId, diskId, type Session } from '../common/ids.ts';
import type {
  CheckResult,
  CopyCondition,
  FetchResult,
  LiveVolume,
  VolumeClient,
  VolumeDirectory,
  VoteResult,
} from '../coordinator/volume-port.ts';

export type Mood = 'well' | 'failing' | 'silent' | 'full';

export interface FakeCopy {
  state: 'open' | 'staged' | 'committed' | 'dropped';
  /** Chunks of an open copy; one piece afterwards. */
  parts: Uint8Array[];
  isBad: boolean;
  /** Its disk does not let it be read. */
  isRefused?: boolean;
}

export class FakeVolume {
  readonly disk: DiskId;
  session: Session;
  mood: Mood = 'well';
  /** Overrides the mood for the votes alone. */
  voteMood: Mood | null = null;
  isHeard = true;
  suspected = false;
  leaving = false;
  /** Bad places that it says it has found. */
  damage = 0;
  zone = '';
  /** What it says of itself when it starts elsewhere. */
  grpcAddress: string;
  directAddress = '';
  bootId = 1;
  readonly copies = new Map<CopyId, FakeCopy>();
  /** How often it was told that all that records name on it was asked about in its session. */
  walksEnded = 0;
  /** What was asked of it, in order. */
  readonly calls: string[] = [];

  constructor(disk: DiskId, session: Session) {
    this.disk = disk;
    this.session = session;
    this.grpcAddress = `host-${disk}:6001`;
  }

  states(): readonly string[] {
    return [...this.copies.values()].map(({ state }) => state);
  }
}

const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

export class FakeVolumes implements VolumeClient, VolumeDirectory {
  readonly #clock: Clock;
  readonly volumes = new Map<DiskId, FakeVolume>();
  readonly #awaited = new Set<DiskId>();
  readonly #listeners: (() => void)[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(disk: number, session: Session): FakeVolume {
    const volume = new FakeVolume(diskId(disk), session);
    this.volumes.set(volume.disk, volume);
    return volume;
  }

  at(disk: number): FakeVolume {
    const volume = this.volumes.get(diskId(disk));
    if (volume === undefined) throw new Error(`no volume ${disk}`);
    return volume;
  }

  all(): readonly FakeVolume[] {
    return [...this.volumes.values()];
  }

  live(): readonly LiveVolume[] {
    return this.all()
      .filter(({ isHeard }) => isHeard)
      .map(({ disk, session, zone, suspected, leaving, damage, ...place }) => ({
        disk,
        session,
        bootId: place.bootId,
        directAddress: place.directAddress,
        name: `volume-${disk}`,
        grpcAddress: place.grpcAddress,
        httpAddress: `host-${disk}:6000`,
        zone,
        capacityBytes: 2 ** 40,
        freeBytes: 2 ** 39,
        usedBytes: 0,
        copies: 0,
        acceptsWrites: true,
        leaving,
        version: '1',
        fsyncPolicy: 'always',
        damage,
        heardAtMs: 0,
        suspected,
      }));
  }

  find(disk: DiskId): LiveVolume | undefined {
    return this.live().find((volume) => volume.disk === disk);
  }

  suspect(disk: DiskId): void {
    this.at(disk).suspected = true;
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  changed(): void {
    for (const listener of this.#listeners) listener();
  }

  isAwaited(disk: DiskId): boolean {
    return this.#awaited.has(disk);
  }

  await(disk: number, isAwaited: boolean): void {
    if (isAwaited) this.#awaited.add(diskId(disk));
    else this.#awaited.delete(diskId(disk));
  }

  stageChunk(...[disk, { copyId, data }]: Parameters<VolumeClient['stageChunk']>): Promise<void> {
    return this.#answer(disk, 'chunk', (volume) => {
      const copy = volume.copies.get(copyId) ?? { state: 'open', parts: [], isBad: false };
      copy.parts.push(data);
      volume.copies.set(copyId, copy);
    });
  }

  stageEnd(
    ...[disk, { copyId, sizeBytes, digest }]: Parameters<VolumeClient['stageEnd']>
  ): Promise<VoteResult> {
    return this.#vote(disk, 'end', (volume) => {
      const data = dataOf(volume.copies.get(copyId));
      stage(volume, copyId, { data, sizeBytes, digest });
    });
  }

  stageWhole(
    ...[disk, { copyId, data, digest }, listener]: Parameters<VolumeClient['stageWhole']>
  ): void {
    this.#vote(disk, 'whole', (volume) => {
      stage(volume, copyId, { data: data.slice(), sizeBytes: data.length, digest });
    }).then(
      (vote) => listener.voted(vote),
      (error: unknown) => listener.failed(asError(error)),
    );
  }

  settle(
    disk: DiskId,
    action: 'finalize' | 'discard' | 'drop',
    copyIds: readonly CopyId[],
  ): Promise<readonly boolean[]> {
    return this.#answer(disk, action, (volume) =>
      copyIds.map((copyId) => {
        const copy = volume.copies.get(copyId);
        if (action !== 'finalize') {
          if (copy !== undefined) copy.state = 'dropped';
          return true;
        }
        if (copy === undefined || copy.state === 'dropped') return false;
        copy.state = 'committed';
        return true;
      }),
    );
  }

  fetch(
    disk: DiskId,
    copyId: CopyId,
    { offset, length, timeoutMs }: { offset: number; length: number; timeoutMs: number },
  ): Promise<FetchResult> {
    const answer = this.#answer(disk, 'fetch', ({ copies }): FetchResult => {
      const copy = copies.get(copyId);
      if (copy === undefined || copy.state === 'dropped' || copy.state === 'open') {
        throw new KvError('NOT_FOUND', 'no such copy');
      }
      if (copy.isBad) throw new KvError('CORRUPT', 'a bad copy');
      if (copy.isRefused === true) throw new KvError('UNREADABLE', 'the disk refused');
      const data = dataOf(copy);
      return { data: data.slice(offset, offset + length), sizeBytes: data.length };
    });
    return Promise.race([answer, this.#expire<FetchResult>(timeoutMs)]);
  }

  check(
    disk: DiskId,
    copyIds: readonly CopyId[],
    endsWalkOf: Session | null,
  ): Promise<CheckResult> {
    const answer = this.#answer(disk, 'check', (volume) => {
      const { session, copies } = volume;
      if (endsWalkOf === session) volume.walksEnded += 1;
      return { session, conditions: copyIds.map((copyId) => conditionOf(copies.get(copyId))) };
    });
    return Promise.race([answer, this.#expire<CheckResult>(10_000)]);
  }

  pull(...[disk, order]: Parameters<VolumeClient['pull']>): Promise<VoteResult> {
    return this.#vote(disk, 'pull', (volume) => {
      const source = this.at(order.sourceDisk).copies.get(order.sourceCopyId);
      if (source === undefined || source.state === 'dropped') {
        throw new KvError('NOT_FOUND', 'no such copy');
      }
      if (source.isBad) throw new KvError('CORRUPT', 'a bad copy');
      stage(volume, order.copyId, { ...order, data: dataOf(source) });
    });
  }

  #vote(disk: DiskId, call: string, work: (volume: FakeVolume) => void): Promise<VoteResult> {
    const { voteMood } = this.at(disk);
    return this.#answer(
      disk,
      call,
      (volume) => {
        work(volume);
        return { disk, session: volume.session };
      },
      voteMood,
    );
  }

  /** Answers on the clock's next turn, as the volume's mood is. */
  #answer<T>(
    disk: DiskId,
    call: string,
    work: (volume: FakeVolume) => T,
    mood: Mood | null = null,
  ): Promise<T> {
    const volume = this.at(disk);
    volume.calls.push(call);
    const now = mood ?? volume.mood;
    if (now === 'silent') return never<T>();
    return new Promise<T>((resolve, reject) => {
      this.#clock.soon(() => {
        try {
          if (now === 'failing') throw new KvError('UNAVAILABLE', 'the stream broke');
          if (now === 'full') throw new KvError('NO_SPACE', 'full');
          resolve(work(volume));
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
  }

  #expire<T>(timeoutMs: number): Promise<T> {
    return new Promise<T>((_, reject) => {
      this.#clock.after(timeoutMs, () => reject(new KvError('DEADLINE_EXCEEDED', 'no answer')));
    });
  }
}

function conditionOf(copy: FakeCopy | undefined): CopyCondition {
  if (copy === undefined || copy.state === 'open' || copy.state === 'dropped') return 'absent';
  return copy.isBad ? 'bad' : 'sound';
}

/** The bytes of a copy. */
export function dataOf(copy: FakeCopy | undefined): Uint8Array {
  const [only, ...others] = copy?.parts ?? [];
  return only !== undefined && others.length === 0 ? only : concatBytes(copy?.parts ?? []);
}

function stage(
  volume: FakeVolume,
  copyId: CopyId,
  value: { readonly data: Uint8Array; readonly sizeBytes: number; readonly digest: Digest },
): void {
  if (value.data.length !== value.sizeBytes || digestOf(value.data) !== value.digest) {
    throw new KvError('CHECKSUM_MISMATCH', 'other bytes than promised');
  }
  volume.copies.set(copyId, { state: 'staged', parts: [value.data], isBad: false });
}
