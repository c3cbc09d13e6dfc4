/** Settings of a coordinator. */
import { z } from 'zod';
import { GIB, HOUR_MS, KIB, MINUTE_MS, SECOND_MS } from '../common/units.ts';
import { type Conflict, commonConflicts, commonFields, commonOptions } from './common-fields.ts';
import {
  duration,
  durationText,
  field,
  milliseconds,
  namedAddresses,
  oneOf,
  path,
  processName,
  size,
  wholeNumber,
} from './fields.ts';
import type { CoordinatorOptions } from './options.ts';
import type { Role } from './role.ts';

/** LevelDB writes each row several times over: of larger values that is more than a volume would write. */
const INLINE_MAX = 16 * KIB;

const schema = z.object({
  id: field(processName(), {
    class: 'restart',
    aliases: ['NODE_ID', 'POD_NAME'],
    value: 'NAME',
    help: 'name of this coordinator',
  }),
  ...commonFields({ http: 5000, grpc: 5001 }),
  db: field(path(), {
    class: 'restart',
    aliases: ['DB_PATH'],
    value: 'DIR',
    help: 'folder of the Raft log and the metadata',
  }),
  peers: field(namedAddresses(), {
    class: 'start-only',
    aliases: ['PEERS'],
    fallback: '',
    value: 'NAME=HOST:PORT,…',
    help: 'all coordinators of the first configuration, this one too (default: it alone)',
  }),
  bootstrap: field(oneOf('auto', 'manual'), {
    class: 'restart',
    fallback: 'auto',
    value: 'auto|manual',
    help: 'form a new cluster by itself, or only by POST /admin/bootstrap',
  }),
  replicas: field(wholeNumber(1, 5), {
    class: 'restart',
    aliases: ['REPLICAS'],
    fallback: '3',
    value: 'N',
    help: 'copies of every value',
  }),
  minReplicas: field(wholeNumber(1, 5), {
    class: 'restart',
    value: 'N',
    help: 'copies that a write needs (default: 2, or 1 when replicas is 1)',
  }),
  maxObject: field(size(1, 5 * GIB), {
    class: 'reload',
    fallback: '5GiB',
    value: 'SIZE',
    help: 'largest value',
  }),
  inlineMax: field(size(0, INLINE_MAX), {
    class: 'reload',
    fallback: '2KiB',
    value: 'SIZE',
    help: 'largest value that coordinators keep with its key, instead of volumes (0: none)',
  }),
  blobCache: field(size(0, 64 * GIB), {
    class: 'reload',
    fallback: '64MiB',
    value: 'SIZE',
    help: 'memory for small values that were read lately',
  }),
  requestTimeout: field(duration(100, HOUR_MS), {
    class: 'restart',
    fallback: '10s',
    value: 'DURATION',
    help: 'wait for an answer before a request fails',
  }),
  fence: field(duration(SECOND_MS, HOUR_MS), {
    class: 'restart',
    fallback: '60s',
    value: 'DURATION',
    help: 'age after which an undecided write can no longer be decided',
  }),
  grace: field(duration(SECOND_MS, 24 * HOUR_MS), {
    class: 'restart',
    fallback: '90s',
    value: 'DURATION',
    help: 'age after which replaced bytes may be dropped',
  }),
  outcomesMax: field(wholeNumber(1024, 16_777_216), {
    class: 'restart',
    fallback: '65536',
    value: 'N',
    help: 'outcomes of past writes that are remembered',
  }),
  leaveWait: field(duration(0, 24 * HOUR_MS), {
    class: 'restart',
    fallback: '10m',
    value: 'DURATION',
    help: 'how long repair keeps the place of a volume that was stopped',
  }),
  heartbeatMs: field(milliseconds(5, 10 * SECOND_MS), {
    class: 'restart',
    fallback: '50',
    value: 'MS',
    help: 'interval at which the leader is heard',
  }),
  electionMs: field(milliseconds(50, MINUTE_MS), {
    class: 'restart',
    fallback: '600',
    value: 'MS',
    help: 'shortest silence of a leader before an election',
  }),
});

type Values = z.output<typeof schema>;

/** A heartbeat lost or late must not depose a leader. */
const HEARTBEATS_PER_ELECTION = 3;

export const coordinatorRole: Role<typeof schema, CoordinatorOptions> = {
  command: 'minikv-coord',
  schema,
  examples: [
    'minikv-coord serve --id c1 --db /var/lib/minikv/c1',
    'minikv-coord serve --id c1 --bind 10.0.0.1:5000 --grpc 10.0.0.1:5001 --db /data \\\n' +
      '    --peers c1=10.0.0.1:5001,c2=10.0.0.2:5001,c3=10.0.0.3:5001 --replicas 3',
    'minikv-coord serve --config /etc/minikv/coordinator.json --print-config',
  ],
  derive: (texts) => ({
    advertise: ownAddress(texts['peers'] ?? '', texts['id'] ?? '') ?? texts['grpc'] ?? '',
    minReplicas: texts['replicas'] === '1' ? '1' : '2',
  }),
  conflicts: coordinatorConflicts,
  build: (values) => ({
    ...commonOptions(values),
    dataPath: values.db,
    peers:
      values.peers.length > 0 ? values.peers : [{ name: values.id, address: values.advertise }],
    bootstrap: values.bootstrap,
    replicas: values.replicas,
    minReplicas: values.minReplicas,
    maxObjectBytes: values.maxObject,
    inlineMaxBytes: values.inlineMax,
    blobCacheBytes: values.blobCache,
    requestTimeoutMs: values.requestTimeout,
    fenceMs: values.fence,
    graceMs: values.grace,
    outcomesMax: values.outcomesMax,
    leaveWaitMs: values.leaveWait,
    heartbeatMs: values.heartbeatMs,
    electionMs: values.electionMs,
  }),
  reloadable: ({ logLevel, maxObjectBytes, inlineMaxBytes, blobCacheBytes }) => ({
    logLevel,
    maxObjectBytes,
    inlineMaxBytes,
    blobCacheBytes,
  }),
};

function ownAddress(peers: string, id: string): string | undefined {
  const own = peers.split(',').find((peer) => peer.trim().startsWith(`${id}=`));
  return own?.trim().slice(id.length + 1);
}

function coordinatorConflicts(values: Values): readonly Conflict[] {
  const conflicts = commonConflicts(values);
  const refuse = (name: string, sentence: string): void => {
    conflicts.push({ name, sentence });
  };
  if (values.peers.length > 0 && !values.peers.some((peer) => peer.name === values.id)) {
    refuse('peers', `must list every coordinator, ${values.id} itself too, in the same order`);
  }
  if (values.minReplicas > values.replicas) {
    refuse('minReplicas', `must be at most replicas, which is ${values.replicas}`);
  }
  if (values.electionMs < values.heartbeatMs * HEARTBEATS_PER_ELECTION) {
    refuse('electionMs', `must be at least ${HEARTBEATS_PER_ELECTION} times heartbeatMs`);
  }
  const timeout = durationText(values.requestTimeout);
  if (values.fence < values.requestTimeout) {
    refuse('fence', `must be at least requestTimeout, which is ${timeout}`);
  }
  if (values.grace <= values.requestTimeout) {
    refuse('grace', `must be longer than requestTimeout, which is ${timeout}`);
  }
  return conflicts;
}
