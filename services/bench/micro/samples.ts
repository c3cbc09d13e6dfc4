/** Ids, commands and entries of a usual size, as a PUT of 1 KiB with three copies makes them. */
import { utf8 } from '../../common/bytes.ts';
import { digestOf } from '../../common/digest.ts';
import {
  blobId,
  copyOfWrite,
  diskId,
  hexOf,
  logIndex,
  mintTxnId,
  type Session,
  session,
  term,
} from '../../common/ids.ts';
import { seededRandom, systemRandom } from '../../common/random.ts';
import { KIB } from '../../common/units.ts';
import { encodeCommand } from '../../metadata/command-codec.ts';
import type { Commit } from '../../metadata/commands.ts';
import type { ValueRecord } from '../../metadata/records.ts';
import type { Entry } from '../../raft/types.ts';

export const VALUE = seededRandom(3).bytes(KIB).slice();
const DIGEST = digestOf(VALUE);
const HEADERS = [['content-type', 'image/jpeg']] as const;
const COPIES = 3;

export const freshBlob = () => blobId(hexOf(systemRandom.bytes(16)));

export const keyNumber = (number: number): Uint8Array =>
  utf8(`photos/2024/${String(number).padStart(9, '0')}.jpg`);

export interface PutSample {
  readonly key: number;
  /** The transaction is born here. */
  readonly born: number;
  /** Of each of the disks 1 to 3. */
  readonly sessions: readonly Session[];
}

/** The command of one PUT. */
export const putCommand = ({ key, born, sessions }: PutSample): Commit => ({
  kind: 'commit',
  txnId: mintTxnId(logIndex(born), systemRandom.bytes(10)),
  need: 2,
  want: COPIES,
  idempotency: null,
  ops: [
    {
      key: keyNumber(key),
      condition: null,
      body: {
        kind: 'put',
        blobId: freshBlob(),
        size: VALUE.length,
        digest: DIGEST,
        copies: sessions.map((of, i) => ({ disk: diskId(i + 1), session: of })),
        headers: HEADERS,
      },
    },
  ],
});

/** One of those, encoded: what an entry of the log holds. */
export const COMMAND: Commit = putCommand({
  key: 1,
  born: 100_000,
  sessions: [session(2), session(3), session(4)],
});
export const COMMAND_BYTES = encodeCommand(COMMAND);

export const entriesAfter = (last: number, count: number): readonly Entry[] =>
  Array.from({ length: count }, (_, i) => ({
    index: logIndex(last + 1 + i),
    term: term(1),
    kind: 'command',
    data: COMMAND_BYTES,
  }));

const BLOB = freshBlob();
export const RECORD: ValueRecord = {
  blobId: BLOB,
  size: VALUE.length,
  digest: DIGEST,
  version: { index: logIndex(123_456), ordinal: 0 },
  copies: [1, 2, 3].map((disk) => ({ disk: diskId(disk), copyId: copyOfWrite(BLOB) })),
  headers: HEADERS,
  data: null,
};
