/** The volume's standing with several coordinators, whose streams the test holds in its hands. */
import { expect, test } from '@jest/globals';
import { clusterId, copyId, diskId, txnId } from '../common/ids.ts';
import { seededRandom } from '../common/random.ts';
import type { CoordinatorFrame, VolumeFrame } from '../rpc/generated/registry.ts';
import { helloTo } from '../rpc/hello.ts';
import type { StreamEvents } from '../rpc/types.ts';
import type { CopyInfo } from '../storage/types.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { Registration } from './registration.ts';

const CLUSTER = clusterId('c'.repeat(32));
const COPY: CopyInfo = {
  copyId: copyId('1'.repeat(32)),
  state: 'staged',
  txnId: txnId('2'.repeat(32)),
  owner: Uint8Array.of(107),
  sizeBytes: 1,
  sound: true,
  stagedForMs: 9000,
};

/** One coordinator's end of its stream. */
class Peer {
  readonly heard: NonNullable<VolumeFrame['body']>[] = [];
  events: StreamEvents<CoordinatorFrame> | null = null;

  say(body: NonNullable<CoordinatorFrame['body']>): void {
    this.events?.onMessage({ body });
  }

  greet(): void {
    const self = { clusterId: CLUSTER, role: 'coordinator', name: 'c', from: 1 } as const;
    const introduction = { ...self, bootId: 1, address: '', version: '', httpAddress: '' };
    this.say({ $case: 'hello', value: helloTo(introduction, 0) });
  }

  get questions(): number {
    return this.heard.filter(({ $case }) => $case === 'questions').length;
  }
}

/** A registered volume and its coordinators, by address. */
async function registered(
  names: readonly string[],
): Promise<{ readonly registration: Registration; readonly peers: readonly Peer[] }> {
  const peers = new Map(names.map((name) => [name, new Peer()]));
  const registration = new Registration(
    {
      clock: new ManualClock(),
      random: seededRandom(1),
      logger: silentLogger,
      remember: () => Promise.resolve(),
      vitals: () => ({
        grpcAddress: '',
        httpAddress: '',
        copies: 0,
        usedBytes: 0,
        freeBytes: 0,
        capacityBytes: 0,
        acceptsWrites: true,
        version: '',
        fsyncPolicy: 'always',
        damage: 0,
      }),
      answered: () => undefined,
      reconcile: () => undefined,
      raiseBoots: (later) => Promise.resolve(later + 1),
      openLink: ({ address, onOpen }) => {
        const peer = peers.get(address());
        if (peer === undefined) throw new Error('no such peer');
        const send = ({ body }: VolumeFrame): boolean => {
          if (body !== undefined) peer.heard.push(body);
          return true;
        };
        peer.events = onOpen({ send, close: () => undefined, remote: address() });
        return { connected: true, redial: () => undefined, close: () => undefined };
      },
      linkLost: () => undefined,
      onFatal: (error) => {
        throw error;
      },
    },
    {
      identity: {
        name: 'v1',
        clusterId: CLUSTER,
        disk: diskId(3),
        boots: 1,
        nonce: 'n',
        cleanStop: true,
      },
      version: '1',
      directAddress: 'host:1',
      httpAddress: 'host:2',
      zone: null,
      capacityBytes: 0,
      heartbeatMs: 1000,
    },
  );
  registration.follow(new Set(names));
  const [first] = [...peers.values()];
  first?.greet();
  const value = { disk: 3, session: 7, clusterId: CLUSTER, redirectKey: '', reconcile: false };
  first?.say({ $case: 'registered', value });
  await new Promise((resolve) => setImmediate(resolve));
  return { registration, peers: [...peers.values()] };
}

test('questions go to the coordinators in turn: one that is cut off does not get them all', async () => {
  const { registration, peers } = await registered(['a:1', 'b:1', 'c:1']);
  expect(registration.ask([COPY])).toBe(true);
  expect(peers.map(({ questions }) => questions)).toEqual([1, 0, 0]);
  for (const peer of peers.slice(1)) peer.greet();
  for (let i = 0; i < 6; i += 1) expect(registration.ask([COPY])).toBe(true);
  expect(peers.map(({ questions }) => questions)).toEqual([3, 2, 2]);
  const [first] = peers;
  first?.events?.onClosed(new Error('gone'));
  for (let i = 0; i < 4; i += 1) expect(registration.ask([COPY])).toBe(true);
  expect(peers.map(({ questions }) => questions)).toEqual([3, 4, 4]);
  for (const peer of peers.slice(1)) peer.events?.onClosed(new Error('gone'));
  expect(registration.ask([COPY])).toBe(false);
  registration.stop();
});
