/** The registry of a coordinator over a real socket: registers whoever asks and keeps what it is told. */
import { systemClock } from '../common/clock.ts';
import { clusterId } from '../common/ids.ts';
import { type CoordinatorFrame, type VolumeFrame } from '../rpc/generated/registry.ts';
import { helloTo, type Introduction } from '../rpc/hello.ts';
import { bidi, startRpcServer } from '../rpc/server.ts';
import { REGISTRY_STREAM } from '../rpc/streams.ts';
import { tcpNetwork } from '../rpc/tcp-network.ts';
import type { Outgoing, RpcServer, StreamEvents } from '../rpc/types.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { Inbox } from './inbox.ts';

export const FAKE_CLUSTER = clusterId('c'.repeat(32));
export const FAKE_DISK = 1;

type Body = NonNullable<VolumeFrame['body']>;

export class FakeCoordinator {
  readonly bodies = new Inbox<Body>();
  /** Streams that have ended. */
  readonly ended = new Inbox<Error>();
  /** Session of the next registration. */
  session = 5;
  #server: RpcServer | null = null;

  static async start(bind = '127.0.0.1:0'): Promise<FakeCoordinator> {
    const fake = new FakeCoordinator();
    fake.#server = await startRpcServer(
      { clock: systemClock, logger: silentLogger, network: tcpNetwork },
      { bind, services: [bidi(REGISTRY_STREAM, (outgoing) => fake.#accept(outgoing))] },
    );
    return fake;
  }

  get introduction(): Introduction {
    return {
      clusterId: FAKE_CLUSTER,
      role: 'coordinator',
      name: 'c1',
      from: 1,
      bootId: 1,
      address: '',
      version: '',
      httpAddress: '',
    };
  }

  get port(): number {
    return this.#server?.port ?? 0;
  }

  /** The next frame of this kind. */
  async next<Kind extends Body['$case']>(kind: Kind): Promise<Extract<Body, { $case: Kind }>> {
    const body = await this.bodies.until(({ $case }) => $case === kind);
    return body as Extract<Body, { $case: Kind }>;
  }

  async stop(): Promise<void> {
    await this.#server?.close(0);
  }

  #accept(outgoing: Outgoing<CoordinatorFrame>): StreamEvents<VolumeFrame> {
    return {
      onMessage: ({ body }) => {
        if (body === undefined) return;
        this.bodies.push(body);
        if (body.$case === 'hello') {
          const value = helloTo(this.introduction, body.value.from);
          outgoing.send({ body: { $case: 'hello', value } });
        }
        if (body.$case === 'register') {
          const { session } = this;
          const cluster = { clusterId: FAKE_CLUSTER, redirectKey: 'ab'.repeat(32) };
          const value = { disk: FAKE_DISK, session, ...cluster, reconcile: false };
          outgoing.send({ body: { $case: 'registered', value } });
        }
      },
      onClosed: (reason) => this.ended.push(reason),
    };
  }
}
