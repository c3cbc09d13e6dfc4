/**
 * Clusters at rest cost the apiserver no write. Only the election's Lease is renewed, which is what a
 * Lease is for; everything else that the operator would write must have a reason.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MINUTE_MS } from '../../services/common/units.ts';
import { type AuditEvent, auditOf, isAudited } from './harness/audit.ts';
import { installOperator, MinikvCluster, READY_MS } from './harness/minikv.ts';
import { Namespace } from './harness/namespace.ts';
import { isSettled } from './harness/settled.ts';
import { smallCluster } from './harness/small-cluster.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e'];
/** As long as the promise says; MINIKV_QUIET_MS is for whoever works on this story. */
const QUIET_MS = Number(process.env['MINIKV_QUIET_MS'] ?? 5 * MINUTE_MS);
const COME_MS = 3 * READY_MS;
const SETTLE_MS = 2 * MINUTE_MS;
/** A cluster is looked at anew by itself within this time. */
const LOOK_MS = 6 * MINUTE_MS;
const PUT_MS = 10_000;
const GET_MS = 10_000;
const WRITES = ['create', 'update', 'patch', 'delete', 'deletecollection'];

let namespace: Namespace;
const clusters = (): readonly MinikvCluster[] =>
  NAMES.map((name) => new MinikvCluster(namespace, name));

beforeAll(async () => {
  namespace = await Namespace.create('quiet');
  await installOperator(namespace);
  await namespace.apply(...NAMES.map((name) => smallCluster(name)));
  for (const cluster of clusters()) await cluster.condition('Ready', COME_MS);
}, 2 * COME_MS);

afterAll(async () => {
  await namespace.close();
});

const isLease = ({ objectRef }: AuditEvent): boolean =>
  objectRef?.apiGroup === 'coordination.k8s.io' && objectRef.resource === 'leases';

/** `patch minikvclusters/status a`, as it is to be read in a failure. */
const sentence = ({ verb, objectRef, stageTimestamp }: AuditEvent): string => {
  const parts = [objectRef?.resource, objectRef?.subresource].filter((part) => part !== undefined);
  return `${verb} ${parts.join('/')} ${objectRef?.name ?? ''} at ${stageTimestamp}`;
};

async function requestsSince(sinceMs: number): Promise<readonly AuditEvent[]> {
  const all = await auditOf(namespace.name);
  return all.filter(({ stageTimestamp }) => Date.parse(stageTimestamp) >= sinceMs);
}

const isWrite = ({ verb }: AuditEvent): boolean => WRITES.includes(verb);

(isAudited() ? describe : describe.skip)('five clusters at rest', () => {
  let startMs = 0;

  test('settle', async () => {
    await namespace.waitFor('all clusters to be settled', SETTLE_MS, async () => {
      const settled = await Promise.all(clusters().map(isSettled));
      return settled.every(Boolean);
    });
    startMs = Date.now();
  });

  test(
    'have nothing written of them for five minutes, while they take values and give them back',
    async () => {
      const urls = await Promise.all(
        NAMES.map((name) => namespace.forward(`service/${name}`, 5_000)),
      );
      for (let round = 0; Date.now() < startMs + QUIET_MS; round += 1) {
        for (const url of urls) await putAndGet(url, `round-${round}`);
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
      const requests = await requestsSince(startMs);
      expect(requests.filter((event) => isWrite(event) && !isLease(event)).map(sentence)).toEqual(
        [],
      );
      // The operator was alive all the time: its leader renewed its Lease to the end.
      const renewals = requests.filter((event) => isWrite(event) && isLease(event));
      const last = Date.parse(renewals.at(-1)?.stageTimestamp ?? '');
      expect(last).toBeGreaterThan(startMs + QUIET_MS - MINUTE_MS / 2);
    },
    QUIET_MS + LOOK_MS,
  );

  test('and are as settled as before', async () => {
    expect(await Promise.all(clusters().map(isSettled))).toEqual(NAMES.map(() => true));
  });
});

/** As any client: what is refused for a moment is sent again. */
async function putAndGet(url: URL, value: string): Promise<void> {
  const at = new URL('/kv/quiet', url);
  await namespace.waitFor(`${value} to be taken at ${url.href}`, PUT_MS, async () => {
    return (await fetch(at, { method: 'PUT', body: value })).ok;
  });
  let read = '';
  await namespace.waitFor(`${value} to be given back at ${url.href}`, GET_MS, async () => {
    const answer = await fetch(at);
    read = await answer.text();
    return answer.ok;
  });
  expect(read).toBe(value);
}
