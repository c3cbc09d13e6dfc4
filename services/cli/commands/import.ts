/**
 * `minikv import`: a folder tree becomes keys. What is there with the same bytes, kind and mode is left
 * alone, so an import that was cut off goes on where it ended. The server checks each digest before
 * it votes, so what is acknowledged is what was on the disk.
 */
import { join } from 'node:path';
import type { ListedEntry } from '../../api/kv.ts';
import type { KvClient } from '../../client/kv-client.ts';
import { utf8 } from '../../common/bytes.ts';
import { digestOf } from '../../common/digest.ts';
import { KvError } from '../../common/errors.ts';
import { localValue } from '../files.ts';
import { newTally, type Tally } from '../progress.ts';
import type { Terminal } from '../terminal.ts';
import { type Job, type Moved, runJobs } from '../transfer.ts';
import { type Entry, FOLDER_TYPE, folderPrefix, LINK_TYPE, walk } from '../tree.ts';

export interface ImportOptions {
  readonly folder: string;
  readonly prefix: string;
  readonly concurrency: number;
}

export async function importTree(
  client: KvClient,
  terminal: Terminal,
  options: ImportOptions,
): Promise<Tally> {
  const prefix = folderPrefix(options.prefix);
  const present = new Map<string, ListedEntry>();
  const jobs: Job[] = [];
  for await (const entry of walk(options.folder)) {
    const target = { key: keyOf(prefix, entry), path: join(options.folder, entry.name) };
    jobs.push({
      name: entry.name,
      run: () => send(client, entry, { ...target, present: present.get(target.key) }),
    });
  }
  for await (const listed of client.list(prefix)) present.set(listed.key, listed);
  const tally = newTally();
  await runJobs(terminal, jobs, { concurrency: options.concurrency, tally });
  return tally;
}

const keyOf = (prefix: string, entry: Entry): string =>
  `${prefix}${entry.name}${entry.kind === 'empty-folder' ? '/' : ''}`;

interface Target {
  readonly key: string;
  readonly path: string;
  /** What the key holds now; undefined: nothing. */
  readonly present: ListedEntry | undefined;
}

function send(client: KvClient, entry: Entry, target: Target): Promise<Moved> {
  switch (entry.kind) {
    case 'file':
      return sendFile(client, target, entry.mode);
    case 'link':
      return sendMark(client, target, { bytes: utf8(entry.target), contentType: LINK_TYPE });
    case 'empty-folder':
      return sendMark(client, target, { bytes: utf8(''), contentType: FOLDER_TYPE });
    case 'skipped':
      return Promise.resolve({ kind: 'skipped', why: entry.why });
    case 'failed':
      return Promise.reject(entry.error);
  }
}

const EXECUTABLE = 0o111;

async function sendFile(client: KvClient, target: Target, mode: number): Promise<Moved> {
  const { value, sizeBytes, digest } = await localValue(target.path);
  const kept = (mode & EXECUTABLE) === 0 ? '' : mode.toString(8);
  if (target.present?.size === sizeBytes && target.present.blake3 === digest) {
    // A listing has the bytes only: the same ones may have been a link, or had another mode.
    const found = await client.head(target.key);
    if (found.contentType !== LINK_TYPE && found.meta('mode') === kept) {
      return { kind: 'unchanged' };
    }
  }
  const meta: Record<string, string> = kept === '' ? {} : { mode: kept };
  await client.put(target.key, value, { digest, meta }).catch((error: unknown) => {
    if (!(error instanceof KvError) || error.code !== 'CHECKSUM_MISMATCH') throw error;
    throw new KvError('CHECKSUM_MISMATCH', 'the file changed while it was read; import it again', {
      cause: error,
    });
  });
  return { kind: 'moved', bytes: sizeBytes };
}

/** A link or an empty folder: few, so each is looked at rather than only compared by digest. */
async function sendMark(
  client: KvClient,
  target: Target,
  mark: { readonly bytes: Uint8Array; readonly contentType: string },
): Promise<Moved> {
  const digest = digestOf(mark.bytes);
  if (target.present?.blake3 === digest) {
    const { contentType } = await client.head(target.key);
    if (contentType === mark.contentType) return { kind: 'unchanged' };
  }
  await client.put(target.key, mark.bytes, { digest, contentType: mark.contentType });
  return { kind: 'moved', bytes: mark.bytes.length };
}
