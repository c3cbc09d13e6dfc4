/** Mistakes of a volume: segments, their replay, compaction and the index snapshot. */
import type { Mutant } from './mutant.ts';

const RECOVERY_TEST = 'services/storage/recovery.test.ts';
const ENGINE_TEST = 'services/storage/engine.test.ts';
const COMPACTION_TEST = 'services/storage/compaction/compaction.test.ts';
const RECOVER = 'services/storage/recover.ts';
const SCAN = 'services/storage/segment/scan.ts';
const SNAPSHOT = 'services/storage/snapshot/file.ts';
const FORMATS_TEST = 'services/storage/formats.test.ts';

export const VOLUME_MUTANTS: readonly Mutant[] = [
  {
    id: 'S9b',
    bugs: ['S9'],
    title: 'the torn tail of a segment stays, and records are appended behind it',
    patches: [
      {
        file: 'services/storage/segment/tail.ts',
        find: '    await parts.file.truncate(end);\n',
        replace: '',
      },
      {
        file: 'services/storage/segment/tail.ts',
        find:
          '  if (firstBad < end) await scanSegment({ ...source, start: firstBad, end }, visit);\n' +
          '  return end;',
        replace:
          '  if (firstBad < end) await scanSegment({ ...source, start: firstBad, end }, visit);\n' +
          '  return source.end;',
      },
    ],
    tests: [RECOVERY_TEST],
  },
  {
    id: 'S10',
    bugs: ['S10'],
    title: 'replay fills the filter with what came after the snapshot, and not the index',
    patches: [
      {
        file: RECOVER,
        find: "this.#catalog.apply(head, scanned.kind === 'record', Number.NEGATIVE_INFINITY);",
        replace:
          'if (head.kind !== KIND.whole && head.kind !== KIND.end) {\n' +
          "      this.#catalog.apply(head, scanned.kind === 'record', Number.NEGATIVE_INFINITY);\n" +
          '    }',
      },
    ],
    tests: [RECOVERY_TEST],
  },
  {
    id: 'S11a',
    bugs: ['S11'],
    title: 'a rebuild does not read drops',
    patches: [
      {
        file: RECOVER,
        find: "this.#catalog.apply(head, scanned.kind === 'record', Number.NEGATIVE_INFINITY);",
        replace:
          'if (head.kind !== KIND.drop) {\n' +
          "      this.#catalog.apply(head, scanned.kind === 'record', Number.NEGATIVE_INFINITY);\n" +
          '    }',
      },
    ],
    tests: [RECOVERY_TEST],
  },
  {
    id: 'S11b',
    bugs: ['S11'],
    title: 'a record that is met after its drop brings the copy back',
    patches: [
      {
        file: 'services/storage/index/catalog.ts',
        find: 'if (known?.state === DROPPED) return;',
        replace: '',
      },
    ],
    tests: [RECOVERY_TEST, 'services/storage/index/index.test.ts', COMPACTION_TEST],
  },
  {
    id: 'S11c',
    bugs: ['S11'],
    title: 'compaction takes drops away while what they drop is still in a file',
    patches: [
      {
        file: 'services/storage/compaction/run.ts',
        find: 'return !this.#parts.catalog.segments.hasWithin(lowest, highest, victims);',
        replace: 'return lowest <= highest && victims.size > 0;',
      },
    ],
    tests: [COMPACTION_TEST],
  },
  {
    id: 'S12a',
    bugs: ['S12'],
    title: 'compaction leaves out what it cannot read',
    patches: [
      {
        file: 'services/storage/compaction/run.ts',
        find: '    run.damaged = true;\n',
        replace: '',
      },
    ],
    tests: [COMPACTION_TEST],
  },
  {
    id: 'S12b',
    bugs: ['S12'],
    title: 'the old files go before the new one is complete',
    patches: [
      {
        file: 'services/storage/compaction/run.ts',
        find: '      await run.output.finish();\n',
        replace: '      await files.remove(victims);\n      await run.output.finish();\n',
      },
    ],
    tests: [COMPACTION_TEST],
  },
  {
    id: 'S12c',
    bugs: ['S12'],
    title: 'the name of a file that was put in place is not synced',
    patches: [
      {
        file: 'services/disk/publish.ts',
        find: '  await disk.syncFolder(dirname(path));\n  if',
        replace: '  if',
      },
    ],
    tests: [COMPACTION_TEST, RECOVERY_TEST],
  },
  {
    id: 'S13a',
    bugs: ['S13'],
    title: 'a rebuild checks no checksum of values',
    patches: [
      {
        file: SCAN,
        find: "return data === null ? { kind: 'bad-data', head } : { kind: 'record', head, data };",
        replace: "return { kind: 'record', head, data: data ?? Buffer.alloc(head.dataBytes) };",
      },
    ],
    tests: [RECOVERY_TEST],
  },
  {
    id: 'S13b',
    bugs: ['S13'],
    title: 'a head is believed without its checksum',
    patches: [
      {
        file: 'services/storage/record.ts',
        find: 'if (bytes.readUInt32LE(at + 44) !== headCrc(bytes, at, metaBytes, address.salt)) return null;',
        replace: '',
      },
    ],
    tests: [FORMATS_TEST, RECOVERY_TEST],
  },
  {
    id: 'S13c',
    bugs: ['S13'],
    title: 'the length of a value is believed, however large',
    patches: [
      {
        file: 'services/storage/record.ts',
        find: 'if (dataBytes > RECORD_DATA_MAX || bytes.length - at < HEADER_BYTES + metaBytes) return null;',
        replace: 'if (bytes.length - at < HEADER_BYTES + metaBytes) return null;',
      },
    ],
    tests: [FORMATS_TEST],
  },
  {
    id: 'S14a',
    bugs: ['S14'],
    title: 'under interval nothing is ever synced',
    patches: [
      {
        file: 'services/storage/segment/journal.ts',
        find: '      this.#intervalTimer = null;\n      this.#syncDue = true;',
        replace: '      this.#intervalTimer = null;',
      },
    ],
    tests: [ENGINE_TEST],
  },
  {
    id: 'S14b',
    bugs: ['S14'],
    title: 'an index snapshot is believed without its checksum',
    patches: [
      {
        file: SNAPSHOT,
        find: 'return whole && crc === bodyCrcIn(front) ? loaded : null;',
        replace: 'return whole && crc !== null && bodyCrcIn(front) !== null ? loaded : null;',
      },
    ],
    tests: ['services/storage/snapshot/snapshot.test.ts', RECOVERY_TEST],
  },
  {
    id: 'S14c',
    bugs: ['S14'],
    title: 'an index snapshot is written over the old one',
    patches: [
      {
        file: SNAPSHOT,
        find: 'const aside = path + ASIDE_SUFFIX;',
        replace: 'const aside = path;',
      },
      { file: SNAPSHOT, find: '  await publishPrepared(disk, aside, path);\n', replace: '' },
    ],
    tests: ['services/storage/snapshot/snapshot.test.ts', RECOVERY_TEST],
  },
  {
    id: 'S14d',
    bugs: ['S14'],
    title: 'under always a vote leaves before the sync',
    patches: [
      {
        file: 'services/storage/segment/journal.ts',
        find: 'if (pending.synced) this.#waiters.push(pending);\n      else pending.resolve();',
        replace: 'pending.resolve();',
      },
    ],
    tests: [ENGINE_TEST, RECOVERY_TEST],
  },
];
