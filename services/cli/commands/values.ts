/** `minikv put`, `get`, `delete` and `list`: one key, or the names of many. */
import type { KvClient } from '../../client/kv-client.ts';
import { hexOf } from '../../common/ids.ts';
import { systemRandom } from '../../common/random.ts';
import { formatBytes } from '../../common/units.ts';
import { type LocalValue, localValue, withSpooled, writeBody, writeFileWhole } from '../files.ts';
import { type OutputForm, printResult, type Terminal } from '../terminal.ts';

/** What a command works with. */
export interface Session {
  readonly client: KvClient;
  readonly terminal: Terminal;
  readonly form: OutputForm;
}

/** Stores a file, or standard input where `file` is `-`. */
export async function putValue(session: Session, key: string, file: string): Promise<void> {
  const store = async ({ value, sizeBytes, digest }: LocalValue): Promise<void> => {
    const stored = await session.client.put(key, value, { digest });
    const verb = stored.created ? 'created' : 'replaced';
    printResult(session.terminal, session.form, {
      json: { key, sizeBytes, digest, ...stored },
      text: `${verb} ${key} (${formatBytes(sizeBytes)}, ${stored.replicas} copies)`,
    });
  };
  if (file === '-') await withSpooled(session.terminal.stdin, store);
  else await store(await localValue(file));
}

const FILE_MODE = 0o666;

/** A name of its own for each run: what an earlier one left, or another one writes, is not touched. */
const partOf = (file: string): string =>
  `${file}.${process.pid}-${hexOf(systemRandom.bytes(4))}.minikv-part`;

/** Writes a value's raw bytes to standard output, or to a file that appears only when it is whole. */
export async function getValue(session: Session, key: string, file: string | null): Promise<void> {
  const found = await session.client.get(key);
  if (file === null) {
    await writeBody(found.body, session.terminal.stdout);
    return;
  }
  await writeFileWhole(file, found.body, { part: partOf(file), mode: FILE_MODE });
  const { sizeBytes, digest, etag } = found;
  printResult(session.terminal, session.form, {
    json: { key, file, sizeBytes, digest, etag },
    text: `wrote ${file} (${formatBytes(sizeBytes)})`,
  });
}

export async function deleteValue(session: Session, key: string): Promise<void> {
  await session.client.delete(key);
  printResult(session.terminal, session.form, {
    json: { key, deleted: true },
    text: `deleted ${key}`,
  });
}

/** One line for each key: size in bytes, digest's beginning, name; as JSON a whole entry a line. */
export async function listValues(session: Session, prefix: string): Promise<void> {
  for await (const entry of session.client.list(prefix)) {
    printResult(session.terminal, session.form, {
      json: entry,
      text: `${String(entry.size).padStart(12)}  ${entry.blake3.slice(0, 12)}  ${shown(entry.key)}`,
    });
  }
}

/** A name as it is, unless it would move the cursor of a terminal or break the line. */
const shown = (key: string): string => (/\p{Cc}/u.test(key) ? JSON.stringify(key) : key);
