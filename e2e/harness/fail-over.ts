/**
 * How long writes fail when a leader dies: a small write follows the other through the coordinators
 * that are left, beside whatever load there is, and the survivors' logs say when the next one led.
 */
import { type Cluster, httpUrl } from './cluster.ts';
import { keyUrl, put } from './kv.ts';

const PROBE = Buffer.from('probe');
const GIVE_UP_MS = 10_000;

export interface FailOver {
  readonly killed: string;
  /** From SIGKILL to the log line of the next leader. */
  readonly electionMs: number;
  /** From SIGKILL to the first acknowledgement of a write that began after it. */
  readonly gapMs: number;
}

/** Kills the leader and waits until a write is acknowledged again. The dead one stays dead. */
export async function killLeader(cluster: Cluster): Promise<FailOver> {
  const killed = await cluster.leader();
  const left = cluster.rows.filter(({ role, name }) => role === 'coordinator' && name !== killed);
  process.kill(cluster.pid(killed), 'SIGKILL');
  const killedAtMs = performance.now();
  const killedAtWallMs = Date.now();
  const gapMs = await firstWrite(left.map(({ http }) => httpUrl(http))).then(
    () => performance.now() - killedAtMs,
  );
  await cluster.death(killed, GIVE_UP_MS);
  const lines = await Promise.all(left.map(({ name }) => cluster.log(name)));
  const electedAtMs = Math.min(...lines.flatMap((log) => electionsIn(log, killedAtWallMs)));
  return {
    killed,
    electionMs: Math.max(0, Math.round(electedAtMs - killedAtWallMs)),
    gapMs: Math.round(gapMs),
  };
}

async function firstWrite(urls: readonly string[]): Promise<void> {
  const endMs = performance.now() + GIVE_UP_MS;
  for (let turn = 0; performance.now() < endMs; turn += 1) {
    const { status } = await put(urls[turn % urls.length] ?? '', 'fail-over/probe', PROBE);
    if (status === 200 || status === 201) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  throw new Error(`no write at ${keyUrl('', 'fail-over/probe')} within ${GIVE_UP_MS} ms`);
}

/** Times, since 1970, at which the writer of this log became leader; not before `fromMs`. */
function electionsIn(log: string, fromMs: number): number[] {
  return log
    .split('\n')
    .filter((line) => line.startsWith('{') && line.includes('"leadership changed"'))
    .map((line) => JSON.parse(line) as { readonly time: string; readonly role: string })
    .filter(({ role }) => role === 'leader')
    .map(({ time }) => Date.parse(time))
    .filter((atMs) => atMs >= fromMs - 1);
}
