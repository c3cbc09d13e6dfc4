/** Settings of the operator. */
import { z } from 'zod';
import { MINUTE_MS, SECOND_MS } from '../common/units.ts';
import type { Conflict } from './common-fields.ts';
import {
  bindAddress,
  duration,
  field,
  logLevel,
  namespaceList,
  namespaceName,
  path,
  processName,
  splitAddress,
  wholeNumber,
} from './fields.ts';
import type { OperatorOptions } from './options.ts';
import type { Role } from './role.ts';

const schema = z.object({
  watchNamespaces: field(namespaceList(), {
    class: 'restart',
    fallback: '',
    value: 'NAME,…',
    help: 'namespaces whose clusters are run; none given: all',
  }),
  adminNamespaces: field(namespaceList(), {
    class: 'restart',
    fallback: '',
    value: 'NAME,…',
    help: "namespaces besides the operator's whose pods reach the admin ports: that of Prometheus",
  }),
  podName: field(processName(), {
    class: 'restart',
    aliases: ['POD_NAME'],
    fallback: 'minikv-operator',
    value: 'NAME',
    help: 'name of this process in events and in the Lease',
  }),
  podNamespace: field(namespaceName(), {
    class: 'restart',
    aliases: ['POD_NAMESPACE'],
    value: 'NAME',
    help: 'namespace of the Lease by which one of several operators acts',
  }),
  bind: field(bindAddress(), {
    class: 'restart',
    fallback: '0.0.0.0:8080',
    value: 'HOST:PORT',
    help: 'listener of /livez, /readyz and /metrics; port 0 picks a free one',
  }),
  workers: field(wholeNumber(1, 64), {
    class: 'restart',
    fallback: '4',
    value: 'COUNT',
    help: 'clusters that are looked at at the same time',
  }),
  leaseDuration: field(duration(SECOND_MS, 10 * MINUTE_MS), {
    class: 'restart',
    fallback: '60s',
    value: 'DURATION',
    help: 'age at which a Lease that is not renewed is taken by another',
  }),
  leaseRenewDeadline: field(duration(SECOND_MS, 10 * MINUTE_MS), {
    class: 'restart',
    fallback: '40s',
    value: 'DURATION',
    help: 'how long the holder acts without a renewal that succeeded',
  }),
  leaseRetry: field(duration(100, MINUTE_MS), {
    class: 'restart',
    fallback: '5s',
    value: 'DURATION',
    help: 'pause between two attempts to take or renew the Lease',
  }),
  logLevel: field(logLevel(), {
    class: 'restart',
    fallback: 'info',
    value: 'LEVEL',
    help: 'trace, debug, info, warn, error or silent',
  }),
  terminationLog: field(path().optional(), {
    class: 'restart',
    value: 'FILE',
    help: 'file for the reason of a process that refuses to run',
  }),
});

export const operatorRole: Role<typeof schema, OperatorOptions> = {
  command: 'minikv-operator',
  schema,
  examples: [
    'minikv-operator serve --pod-namespace minikv-system',
    'minikv-operator serve --pod-namespace default --watch-namespaces team-a,team-b --bind 127.0.0.1:0',
  ],
  derive: () => ({}),
  conflicts: (values) => {
    const conflicts: Conflict[] = [];
    if (values.leaseDuration <= values.leaseRenewDeadline) {
      const sentence = 'must be longer than leaseRenewDeadline: else two could act';
      conflicts.push({ name: 'leaseDuration', sentence });
    }
    if (values.leaseRenewDeadline < 2 * values.leaseRetry) {
      const sentence = 'must be at least twice leaseRetry: else one slow renewal ends a term';
      conflicts.push({ name: 'leaseRenewDeadline', sentence });
    }
    return conflicts;
  },
  build: (values) => ({
    watchNamespaces: values.watchNamespaces,
    adminNamespaces: values.adminNamespaces,
    podName: values.podName,
    podNamespace: values.podNamespace,
    bind: splitAddress(values.bind) ?? { host: '', port: 0 },
    workers: values.workers,
    lease: {
      durationMs: values.leaseDuration,
      renewDeadlineMs: values.leaseRenewDeadline,
      retryMs: values.leaseRetry,
    },
    logLevel: values.logLevel,
    terminationLog: values.terminationLog ?? null,
  }),
  reloadable: () => ({}),
};
