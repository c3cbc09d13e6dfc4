/**
 * One life of a volume's store in a process of its own: fills it or opens it, says what that took, and
 * then waits to be told to stop in good order, or to be killed. A process each, because an open that
 * follows another one in the same process finds its code compiled.
 */
import { sleep, systemClock } from '../../common/clock.ts';
import { digestOf } from '../../common/digest.ts';
import { type CopyId, logIndex, mintTxnId } from '../../common/ids.ts';
import { mintCopyId, seededRandom, systemRandom } from '../../common/random.ts';
import { NodeDisk } from '../../disk/node-disk.ts';
import type { StorageEngine } from '../../storage/types.ts';
import { openBenchEngine } from '../open-engine.ts';

export interface VolumeJob {
  readonly kind: 'fill' | 'open' | 'read';
  readonly folder: string;
  readonly blobs: number;
  readonly sizeBytes: number;
}

/** What a life says once its job is done. */
export interface VolumeSaid {
  readonly openMs: number;
  /** Of all threads of the process while it opened. */
  readonly openCpuMs: number;
  /** Of the job: staging and settling, or the reads. */
  readonly jobMs: number;
  readonly copies: number;
  readonly replayedRecords: number;
  readonly fromSnapshot: boolean;
  readonly clean: boolean;
  readonly indexBytes: number;
  /** Resident memory before and after opening, garbage collected. */
  readonly rssBefore: number;
  readonly rssAfter: number;
  readonly reads: ReadCost | null;
}

export interface ReadCost {
  readonly aloneUs: number;
  readonly together: number;
  readonly togetherUs: number;
  readonly absentUs: number;
}

const SEED = 7;
const IN_FLIGHT = 4096;
const OWNER_BYTES = 24;
const READS = 20_000;
const TOGETHER = 64;

/**
 * After which an open is timed: by then Node has ended its own start, which compiles what strips types
 * on the other threads. Built code has no such work, and opens in the same time at once.
 */
const REST_MS = 1000;

/** Only where memory is measured: an open that is timed gets no help from the collector. */
const collect = ({ kind }: VolumeJob): void => {
  if (kind === 'read') globalThis.gc?.();
};

async function live(job: VolumeJob): Promise<{ engine: StorageEngine; said: VolumeSaid }> {
  await sleep(systemClock, REST_MS);
  collect(job);
  const rssBefore = process.memoryUsage.rss();
  const cpuBefore = process.cpuUsage();
  const beganMs = performance.now();
  const engine = await openBenchEngine(new NodeDisk(), job.folder);
  const openMs = performance.now() - beganMs;
  const cpu = process.cpuUsage(cpuBefore);
  const openCpuMs = (cpu.user + cpu.system) / 1000;
  collect(job);
  const rssAfter = process.memoryUsage.rss();
  const jobBeganMs = performance.now();
  if (job.kind === 'fill') await fill(engine, job);
  const reads = job.kind === 'read' ? await readCost(engine, job) : null;
  const jobMs = performance.now() - jobBeganMs;
  const { replayedRecords, fromSnapshot, clean } = engine.report;
  const { copies, indexBytes } = engine.usage();
  const opened = { openMs, openCpuMs, jobMs, replayedRecords, fromSnapshot, clean };
  return { engine, said: { ...opened, copies, indexBytes, rssBefore, rssAfter, reads } };
}

/** The ids of all blobs, the same in every life. */
function idsOf(blobs: number): readonly CopyId[] {
  const random = seededRandom(SEED);
  return Array.from({ length: blobs }, () => mintCopyId(random));
}

/** Stages every blob and commits it, many at once. */
async function fill(engine: StorageEngine, { blobs, sizeBytes }: VolumeJob): Promise<void> {
  const txnId = mintTxnId(logIndex(1), systemRandom.bytes(10));
  const owner = new Uint8Array(OWNER_BYTES);
  const ids = idsOf(blobs);
  for (let at = 0; at < ids.length; at += IN_FLIGHT) {
    const some = ids.slice(at, at + IN_FLIGHT);
    await Promise.all(
      some.map((copyId) => {
        const data = systemRandom.bytes(sizeBytes).slice();
        const end = { copyId, txnId, owner, sizeBytes, digest: digestOf(data) };
        return engine.stageWhole(end, data);
      }),
    );
    await Promise.all(some.map((copyId) => engine.finalize(copyId)));
  }
}

async function readCost(engine: StorageEngine, job: VolumeJob): Promise<ReadCost> {
  const ids = idsOf(job.blobs);
  const draw = (): CopyId => ids[systemRandom.below(ids.length)] ?? mintCopyId(systemRandom);
  const readOne = async (id: CopyId): Promise<void> => {
    const result = await engine.read(id, 0, job.sizeBytes);
    if (result.kind === 'found' && result.data.length === job.sizeBytes) return;
    throw new Error(`a blob that was stored reads as ${result.kind}`);
  };
  const absent = async (): Promise<void> => {
    const result = await engine.read(mintCopyId(systemRandom), 0, 1);
    if (result.kind !== 'absent') throw new Error(`a blob that is not there is ${result.kind}`);
  };
  const alone = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i += 1) await readOne(draw());
  };
  await alone(READS / 10);
  const aloneUs = await microsecondsEach(READS, () => alone(READS));
  const togetherUs = await microsecondsEach(READS, async () => {
    await Promise.all(Array.from({ length: TOGETHER }, () => alone(Math.floor(READS / TOGETHER))));
  });
  const absentUs = await microsecondsEach(READS, async () => {
    for (let i = 0; i < READS; i += 1) await absent();
  });
  return { aloneUs, together: TOGETHER, togetherUs, absentUs };
}

async function microsecondsEach(count: number, work: () => Promise<void>): Promise<number> {
  const beganMs = performance.now();
  await work();
  return ((performance.now() - beganMs) * 1000) / count;
}

process.on('disconnect', () => process.exit());
process.once('message', (job: VolumeJob) => {
  void live(job).then(({ engine, said }) => {
    process.once('message', () => void engine.close().then(() => process.exit()));
    process.send?.(said);
  });
});
