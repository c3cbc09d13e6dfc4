/**
 * What a cluster may be busy with while its clients want answers. Each job keeps something going until it is
 * stopped, and then says what was done: one that did nothing would show nothing.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type { LocalProcess } from '../cli/local-plan.ts';
import { formatBytes, GIB, KIB, MIB, MINUTE_MS } from '../common/units.ts';
import { targetOfUrl } from './cluster-bench.ts';
import { LoadGenerator } from './load/generator.ts';
import { totalOf } from './probe.ts';

export interface Site {
  readonly leader: LocalProcess;
  /** Takes no requests of the foreground: it may be stopped. */
  readonly straggler: LocalProcess;
  readonly volumes: readonly LocalProcess[];
  readonly signal: AbortSignal;
}

export interface RunningJob {
  /** Ends it; what was done since it ran, `null`: nothing. @throws what the job failed with. */
  stop(): Promise<string | null>;
}

export interface BackgroundJob {
  readonly name: string;
  /** Resolves once the work goes on. */
  start(site: Site): Promise<RunningJob>;
}

const POLL_MS = 100;

/** Values of 16 MiB, put and got in turn by one client. */
export const largeStream: BackgroundJob = {
  name: 'a stream of 16 MiB values',
  start({ leader, signal }) {
    const value = randomBytes(16 * MIB);
    let moved = 0;
    return Promise.resolve(
      repeated(
        signal,
        async (turn) => {
          const url = `${leader.http}/kv/interference/large/${turn % 4}`;
          value.writeUInt32LE(turn, 0);
          await put(url, value);
          moved += value.length;
          const answer = await fetch(url);
          const got = Buffer.from(await answer.arrayBuffer());
          if (!got.equals(value)) throw new Error(`${url} has other bytes than were put`);
          moved += got.length;
        },
        () => (moved === 0 ? null : `${formatBytes(moved)} moved`),
      ),
    );
  },
};

const CHURN_BYTES = 256 * KIB;
/** Of three values two are replaced, and one stays: what compaction has to copy. */
const CHURN_KEYS = 2;

/** Values that replace each other, so that segments die and are compacted. */
export const compaction: BackgroundJob = {
  name: 'compaction',
  async start({ leader, volumes, signal }) {
    const value = randomBytes(CHURN_BYTES);
    const compacted = (): Promise<number> =>
      totalOf(volumes, 'minikv_volume_compaction_bytes_total');
    let first = await compacted();
    let last = first;
    const job = repeated(
      signal,
      async (turn) => {
        const at = `${leader.http}/kv/interference/churn`;
        const churned = Array.from({ length: CHURN_KEYS }, (_, i) => put(`${at}/${i}`, value));
        await Promise.all([put(`${at}/kept/${turn}`, value), ...churned]);
        if (turn % 16 === 0) last = await compacted();
      },
      () => (last === first ? null : `${formatBytes(last - first)} compacted`),
    );
    await until(signal, () => last > first, 'no compaction');
    first = last;
    return job;
  },
};

/** More entries than a leader keeps for a follower that is a little late. */
const LAG_ENTRIES = 25_000;
const WRITERS = 16;

/** A coordinator that is stopped, left behind and started again, over and over: each time it is sent a snapshot. */
export const snapshot: BackgroundJob = {
  name: 'a snapshot',
  async start({ leader, straggler, signal }) {
    const prefix = `/kv/interference/${randomBytes(4).toString('hex')}/`;
    const writers = await LoadGenerator.start({
      targets: [targetOfUrl(leader.http)],
      connections: WRITERS,
      sizeBytes: 100,
      dialect: { kind: 'paths', prefixes: [prefix], suffix: '' },
      keys: 1,
      firstSpace: 0,
    });
    writers.run('put');
    let installed = 0;
    let { pid } = straggler;
    const job = repeated(
      signal,
      async () => {
        await stopProcess(pid, signal);
        const goal = (await commitIndex(leader)) + LAG_ENTRIES;
        await until(signal, async () => (await commitIndex(leader)) >= goal, 'no progress');
        pid = startProcess(straggler);
        await until(signal, () => hasInstalled(straggler), 'no snapshot was installed');
        installed += 1;
      },
      () => (installed === 0 ? null : `${installed} installed`),
    );
    return {
      async stop() {
        try {
          return await job.stop();
        } finally {
          writers.stop();
          await stopProcess(pid, signal);
        }
      },
    };
  },
};

const UPLOAD_BYTES = 2 * GIB;

/** One value of 2 GiB, and then the next. */
export const largeUpload: BackgroundJob = {
  name: 'an upload of 2 GiB',
  start({ leader, signal }) {
    let sent = 0;
    return Promise.resolve(
      repeated(
        signal,
        async (turn) => {
          await upload(`${leader.http}/kv/interference/upload/${turn % 2}`, (bytes) => {
            sent += bytes;
          });
        },
        () => (sent === 0 ? null : `${formatBytes(sent)} sent`),
      ),
    );
  },
};

/** Does `turn` over and over; the last one is waited for and counts. */
function repeated(
  signal: AbortSignal,
  turn: (count: number) => Promise<void>,
  said: () => string | null,
): RunningJob {
  let isStopped = false;
  const run = async (): Promise<void> => {
    for (let count = 0; !isStopped && !signal.aborted; count += 1) await turn(count);
  };
  const ended = run();
  ended.catch(() => undefined);
  return {
    async stop() {
      isStopped = true;
      await ended;
      return said();
    },
  };
}

async function until(
  signal: AbortSignal,
  isSo: () => boolean | Promise<boolean>,
  otherwise: string,
): Promise<void> {
  const endMs = performance.now() + 2 * MINUTE_MS;
  while (!(await isSo())) {
    signal.throwIfAborted();
    if (performance.now() > endMs) throw new Error(`${otherwise} within two minutes`);
    await pause(POLL_MS);
  }
}

async function put(url: string, value: Buffer): Promise<void> {
  const answer = await fetch(url, { method: 'PUT', body: value });
  await answer.arrayBuffer();
  if (!answer.ok) throw new Error(`PUT ${url} answered ${answer.status}`);
}

async function upload(url: string, sent: (bytes: number) => void): Promise<void> {
  const piece = randomBytes(MIB);
  const pieces = UPLOAD_BYTES / MIB;
  const headers = { 'Content-Length': String(UPLOAD_BYTES) };
  const outgoing = request(url, { method: 'PUT', headers });
  const answered = new Promise<number>((resolve, reject) => {
    outgoing.on('error', reject);
    outgoing.on('response', (answer) => {
      answer.resume();
      answer.on('end', () => resolve(answer.statusCode ?? 0));
    });
  });
  const body = function* (): Generator<Buffer> {
    for (let i = 0; i < pieces; i += 1) {
      sent(piece.length);
      yield piece;
    }
  };
  await pipeline(Readable.from(body()), outgoing);
  const status = await answered;
  if (status >= 300) throw new Error(`PUT ${url} answered ${status}`);
}

const commitIndex = (coordinator: LocalProcess): Promise<number> =>
  totalOf([coordinator], 'minikv_raft_commit_index');

/** In the present life of the process. */
const hasInstalled = (coordinator: LocalProcess): Promise<boolean> =>
  totalOf([coordinator], 'minikv_raft_snapshots_installed_total').then(
    (installed) => installed > 0,
    () => false,
  );

async function stopProcess(pid: number, signal: AbortSignal): Promise<void> {
  if (!isAlive(pid)) return;
  process.kill(pid, 'SIGTERM');
  await until(signal, () => !isAlive(pid), 'a coordinator did not stop');
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Started as `minikv local` did it; its end is the caller's affair. */
function startProcess({ command }: LocalProcess): number {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { stdio: 'ignore' });
  child.unref();
  return child.pid ?? 0;
}
