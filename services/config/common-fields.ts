/** Settings that coordinators and volumes share, and the checks that need more than one of them. */
import { MINUTE_MS } from '../common/units.ts';
import {
  bindAddress,
  duration,
  field,
  flagOf,
  hex32,
  label,
  logLevel,
  path,
  splitAddress,
} from './fields.ts';
import type { CommonOptions } from './options.ts';

/** Fresh schemas of the shared fields; `ports` are the defaults of the two listeners. */
export const commonFields = (ports: { readonly http: number; readonly grpc: number }) => ({
  bind: field(bindAddress(), {
    class: 'restart',
    aliases: ['HTTP_BIND'],
    fallback: `127.0.0.1:${ports.http}`,
    value: 'HOST:PORT',
    help: 'HTTP listener; port 0 picks a free one',
  }),
  grpc: field(bindAddress(), {
    class: 'restart',
    aliases: ['GRPC_BIND'],
    fallback: `127.0.0.1:${ports.grpc}`,
    value: 'HOST:PORT',
    help: 'gRPC listener, for the other processes of the cluster',
  }),
  adminBind: field(bindAddress().optional(), {
    class: 'restart',
    value: 'HOST:PORT',
    help: 'admin listener; when set, POST under /admin is answered only there',
  }),
  advertise: field(bindAddress(), {
    class: 'restart',
    value: 'HOST:PORT',
    help: 'where others reach the gRPC listener (default: its bind address)',
  }),
  clusterId: field(hex32().optional(), {
    class: 'start-only',
    value: 'HEX',
    help: 'id of the cluster that the folder must belong to (default: learned at bootstrap)',
  }),
  logLevel: field(logLevel(), {
    class: 'reload',
    fallback: 'info',
    value: 'LEVEL',
    help: 'trace, debug, info, warn, error or silent',
  }),
  shutdownDelay: field(duration(0, MINUTE_MS), {
    class: 'restart',
    fallback: '0',
    value: 'DURATION',
    help: 'how long listeners stay open after SIGTERM',
  }),
  terminationLog: field(path().optional(), {
    class: 'restart',
    value: 'FILE',
    help: 'file for the reason of a process that refuses to run',
  }),
  podUid: field(label(), {
    class: 'restart',
    aliases: ['POD_UID'],
    fallback: '',
    value: 'UID',
    help: 'echoed in status, so that a caller knows which pod answered',
  }),
  podIp: field(label(), {
    class: 'restart',
    aliases: ['POD_IP'],
    fallback: '',
    value: 'IP',
    help: 'address that peers dial at once after a move, before names catch up',
  }),
  config: field(path().optional(), {
    class: 'restart',
    value: 'FILE',
    help: 'settings file (JSON), read again every 5 s',
  }),
});

interface CommonValues {
  readonly id: string;
  readonly bind: string;
  readonly grpc: string;
  readonly adminBind?: string | undefined;
  readonly advertise: string;
  readonly clusterId?: string | undefined;
  readonly logLevel: CommonOptions['logLevel'];
  readonly shutdownDelay: number;
  readonly terminationLog?: string | undefined;
  readonly podUid: string;
  readonly podIp: string;
  readonly config?: string | undefined;
}

export const commonOptions = (values: CommonValues): CommonOptions => ({
  name: values.id,
  httpBind: values.bind,
  grpcBind: values.grpc,
  adminBind: values.adminBind ?? null,
  advertise: values.advertise,
  clusterId: values.clusterId ?? null,
  logLevel: values.logLevel,
  shutdownDelayMs: values.shutdownDelay,
  terminationLog: values.terminationLog ?? null,
  podUid: values.podUid,
  directAddress: directAddress(values),
  configFile: values.config ?? null,
});

function directAddress({ advertise, podIp }: CommonValues): string {
  const parts = splitAddress(advertise);
  if (podIp === '' || parts === null) return advertise;
  return `${podIp.includes(':') ? `[${podIp}]` : podIp}:${parts.port}`;
}

/** A combination that cannot work: the setting to blame and a sentence. */
export interface Conflict {
  readonly name: string;
  readonly sentence: string;
}

const WILDCARDS = new Set(['0.0.0.0', '[::]']);

/** True for an address that stands for every interface and that nobody can dial. */
export const isWildcard = (address: string): boolean =>
  WILDCARDS.has(splitAddress(address)?.host ?? '');

export function commonConflicts(values: CommonValues): Conflict[] {
  const conflicts: Conflict[] = [];
  const listeners = new Map<string, string>();
  for (const name of ['bind', 'grpc', 'adminBind'] as const) {
    const address = values[name];
    if (address === undefined || splitAddress(address)?.port === 0) continue;
    const other = listeners.get(address);
    if (other !== undefined) {
      conflicts.push({ name, sentence: `must differ from ${flagOf(other)}, which is ${address}` });
    }
    listeners.set(address, name);
  }
  if (isWildcard(values.advertise)) {
    conflicts.push({
      name: 'advertise',
      sentence: `must be given: nobody can dial ${values.advertise}; say host:port as others see it`,
    });
  }
  return conflicts;
}
