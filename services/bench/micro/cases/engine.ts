/**
 * A volume's engine: values of 1 KiB staged, synced and committed, and read back with their checks. On a
 * disk in memory it is code alone; a real one adds its writes and syncs.
 */
import { digestOf } from '../../../common/digest.ts';
import { type CopyId, logIndex, mintTxnId } from '../../../common/ids.ts';
import { mintCopyId, systemRandom } from '../../../common/random.ts';
import type { Disk } from '../../../disk/disk.ts';
import { MemoryDisk } from '../../../disk/memory-disk.ts';
import { NodeDisk } from '../../../disk/node-disk.ts';
import type { StorageEngine, WholeCopy } from '../../../storage/types.ts';
import { openBenchEngine } from '../../open-engine.ts';
import { type MicroCase, mustHold, type Stage, type Work } from '../micro-case.ts';
import { keyNumber, VALUE } from '../samples.ts';

/** Of a million that a stage may ask for: this share is stored before reads. */
const STORED_SHARE = 0.01;
const FILL_BATCH = 256;

export const ENGINE_CASES: readonly MicroCase[] = [1, 32].flatMap((batch) => [
  ...onBoth(batch, batch === 1 ? 'one value staged' : `${batch} values staged`, stageWork),
  ...onBoth(batch, batch === 1 ? 'one read' : `${batch} reads at once`, readWork),
]);

type Open = (engine: StorageEngine, batch: number, stage: Stage) => Work | Promise<Work>;

function onBoth(batch: number, what: string, open: Open): readonly MicroCase[] {
  const shared = { of: 'value', perStep: batch };
  const openOn = async (disk: Disk, path: string, stage: Stage): Promise<Work> => {
    const engine = await openBenchEngine(disk, path);
    return { ...(await open(engine, batch, stage)), close: () => engine.close() };
  };
  return [
    {
      ...shared,
      name: `engine: ${what}, in memory`,
      onDisk: false,
      open: (stage) => openOn(new MemoryDisk(), '/data', stage),
    },
    {
      ...shared,
      name: `engine: ${what}, on disk`,
      onDisk: true,
      open: (stage) => openOn(new NodeDisk(), stage.folder, stage),
    },
  ];
}

function stageWork(engine: StorageEngine, batch: number): Work {
  let ready: (readonly WholeCopy[])[] = [];
  return {
    prepare(steps) {
      ready = Array.from({ length: steps }, () => valuesOf(batch));
    },
    async run() {
      for (const values of ready) await store(engine, values);
    },
  };
}

async function readWork(engine: StorageEngine, batch: number, { stored }: Stage): Promise<Work> {
  const ids: CopyId[] = [];
  while (ids.length < Math.max(batch, stored * STORED_SHARE)) {
    const values = valuesOf(FILL_BATCH);
    await store(engine, values);
    ids.push(...values.map(({ end }) => end.copyId));
  }
  let asked: CopyId[] = [];
  const readOne = async (id: CopyId): Promise<void> => {
    const result = await engine.read(id, 0, VALUE.length);
    mustHold(result.kind === 'found' && result.data.length === VALUE.length, result.kind);
  };
  return {
    prepare(steps) {
      const draw = (): CopyId => ids[systemRandom.below(ids.length)] ?? mintCopyId(systemRandom);
      asked = Array.from({ length: steps * batch }, draw);
    },
    async run() {
      for (let at = 0; at < asked.length; at += batch) {
        await Promise.all(asked.slice(at, at + batch).map(readOne));
      }
    },
  };
}

async function store(engine: StorageEngine, values: readonly WholeCopy[]): Promise<void> {
  const refusals = await engine.stageWholes(values);
  mustHold(
    refusals.every((refusal) => refusal === null),
    'a value was not staged',
  );
  const settled = await engine.finalizeAll(values.map(({ end }) => end.copyId));
  mustHold(
    settled.every((result) => result === 'ok'),
    'a value was not committed',
  );
}

const OWNER = keyNumber(1);
const DIGEST = digestOf(VALUE);
const TXN = mintTxnId(logIndex(1), systemRandom.bytes(10));

const valuesOf = (count: number): readonly WholeCopy[] =>
  Array.from({ length: count }, () => ({
    data: VALUE,
    end: {
      copyId: mintCopyId(systemRandom),
      txnId: TXN,
      owner: OWNER,
      sizeBytes: VALUE.length,
      digest: DIGEST,
    },
  }));
