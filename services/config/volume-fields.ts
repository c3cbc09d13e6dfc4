/** Settings of a volume. */
import { z } from 'zod';
import { GIB, KIB, MINUTE_MS } from '../common/units.ts';
import { commonConflicts, commonFields, commonOptions, isWildcard } from './common-fields.ts';
import {
  addressList,
  bindAddress,
  field,
  fsync,
  label,
  milliseconds,
  path,
  processName,
  size,
  splitAddress,
} from './fields.ts';
import type { VolumeOptions } from './options.ts';
import type { Role } from './role.ts';

const TIB = KIB * GIB;

const schema = z.object({
  id: field(processName(), {
    class: 'restart',
    aliases: ['VOLUME_ID', 'POD_NAME'],
    value: 'NAME',
    help: 'name of this volume',
  }),
  ...commonFields({ http: 6000, grpc: 6001 }),
  advertiseHttp: field(bindAddress(), {
    class: 'restart',
    value: 'HOST:PORT',
    help: 'where clients reach the HTTP listener (default: host of advertise, port of bind)',
  }),
  data: field(path(), {
    class: 'restart',
    aliases: ['DATA_PATH'],
    value: 'DIR',
    help: 'folder of the sealed segments',
  }),
  wal: field(path(), {
    class: 'restart',
    aliases: ['WAL_PATH'],
    value: 'DIR',
    help: 'folder of the active segment (default: wal below the data folder)',
  }),
  coordinators: field(addressList(), {
    class: 'restart',
    aliases: ['COORDINATORS'],
    value: 'HOST:PORT,…',
    help: "the coordinators' gRPC addresses; one name may stand for many",
  }),
  fsync: field(fsync(), {
    class: 'restart',
    fallback: 'always',
    value: 'WHEN',
    help: 'always, interval=MS or never; a crash loses what was not synced, but for always',
  }),
  zone: field(label().optional(), {
    class: 'restart',
    value: 'ZONE',
    help: 'failure domain; copies go to different ones (default: the one stored)',
  }),
  segmentBytes: field(size(64 * KIB, 4 * GIB), {
    class: 'restart',
    fallback: '64MiB',
    value: 'SIZE',
    help: 'size at which a segment is sealed',
  }),
  reserve: field(size(0, TIB), {
    class: 'restart',
    fallback: '256MiB',
    value: 'SIZE',
    help: 'free bytes below which writes are refused with NO_SPACE',
  }),
  compactionRate: field(size(KIB, TIB), {
    class: 'reload',
    fallback: '64MiB',
    value: 'SIZE',
    help: 'bytes that compaction may copy in a second',
  }),
  scrubRate: field(size(0, TIB), {
    class: 'restart',
    fallback: '8MiB',
    value: 'SIZE',
    help: 'bytes read in a second to find decay, after the start and daily; 0: none',
  }),
  heartbeatMs: field(milliseconds(50, MINUTE_MS), {
    class: 'restart',
    fallback: '1000',
    value: 'MS',
    help: 'interval at which the coordinators hear from this volume',
  }),
  capacity: field(size(0, 1024 * TIB), {
    class: 'restart',
    fallback: '0',
    value: 'SIZE',
    help: 'bytes that this volume may hold; 0: what the disk has',
  }),
});

export const volumeRole: Role<typeof schema, VolumeOptions> = {
  command: 'minikv-volume',
  schema,
  examples: [
    'minikv-volume serve --id v1 --data /var/lib/minikv/v1 --coordinators 127.0.0.1:5001',
    'minikv-volume serve --id v1 --bind 0.0.0.0:6000 --grpc 0.0.0.0:6001 \\\n' +
      '    --advertise v1.example:6001 --data /data --wal /fast/v1 \\\n' +
      '    --coordinators c1.example:5001,c2.example:5001,c3.example:5001 --zone rack-1',
    'minikv-volume serve --config /etc/minikv/volume.json --print-config --output json',
  ],
  derive: (texts) => {
    const advertise = texts['advertise'] ?? texts['grpc'] ?? '';
    const host = splitAddress(advertise)?.host ?? '';
    const port = splitAddress(texts['bind'] ?? '')?.port ?? 0;
    return { advertise, advertiseHttp: `${host}:${port}`, wal: `${texts['data'] ?? ''}/wal` };
  },
  conflicts: (values) => {
    const conflicts = commonConflicts(values);
    if (values.data === values.wal) {
      conflicts.push({ name: 'wal', sentence: 'must be another folder than data' });
    }
    if (isWildcard(values.advertiseHttp) && !isWildcard(values.advertise)) {
      const sentence = `must be host:port as clients see it: nobody can dial ${values.advertiseHttp}`;
      conflicts.push({ name: 'advertiseHttp', sentence });
    }
    return conflicts;
  },
  build: (values) => ({
    ...commonOptions(values),
    dataPath: values.data,
    walPath: values.wal,
    coordinators: values.coordinators,
    fsync: values.fsync,
    zone: values.zone ?? null,
    segmentBytes: values.segmentBytes,
    reserveBytes: values.reserve,
    compactionBytesPerSecond: values.compactionRate,
    scrubBytesPerSecond: values.scrubRate,
    heartbeatMs: values.heartbeatMs,
    capacityBytes: values.capacity,
    advertiseHttp: values.advertiseHttp,
  }),
  reloadable: ({ logLevel, compactionBytesPerSecond }) => ({ logLevel, compactionBytesPerSecond }),
};
