/** The coordinator's metrics: names kept from minikv (Rust) first, then those of our own. */

import type { Clock } from '../common/clock.ts';
import type { Consensus } from '../consensus/types.ts';
import type { DiskRecord } from '../metadata/records.ts';
import {
  type CounterMetric,
  type HistogramMetric,
  LATENCY_SECONDS,
  type Metrics,
} from '../telemetry/metrics.ts';
import type { BlobCache } from './blob-cache.ts';
import type { Metadata } from './metadata-port.ts';
import type { LiveVolume, VolumeDirectory } from './volume-port.ts';

export interface WriteMetrics {
  readonly bytesWritten: CounterMetric;
  /** Values written that coordinators keep. */
  readonly valuesInlined: CounterMetric;
}

export interface ReadMetrics {
  readonly bytesRead: CounterMetric;
  /** A copy did not answer, was absent or damaged, and another was asked. Label `reason`. */
  readonly failovers: CounterMetric;
}

export interface CommitMetrics {
  /** From the start of the round to its answer. Label `verdict`. */
  readonly seconds: HistogramMetric;
}

export interface RegistryMetrics {
  /** Streams refused because they were meant for somebody else. */
  readonly helloRefusals: CounterMetric;
}

export interface JobMetrics {
  readonly copiesRepaired: CounterMetric;
  readonly bytesRepaired: CounterMetric;
  readonly copiesReclaimed: CounterMetric;
  /** Copies that a reconcile asked about, and those that their disk lacked or had bad. */
  readonly copiesChecked: CounterMetric;
  readonly copiesMissing: CounterMetric;
}

export interface AuditMetrics {
  /** Indexes at which a majority had the state of this node. */
  readonly digestsAgreed: CounterMetric;
  /** Times that another node's state differed from that of a majority with this node. */
  readonly digestMismatches: CounterMetric;
  /** Scrubs of the stored state. Label `result`: sound, differs. */
  readonly scrubs: CounterMetric;
  /** 1 when this node has found its own state wrong and stops. */
  readonly diverged: CounterMetric;
}

export interface CoordinatorMetrics extends WriteMetrics, ReadMetrics, RegistryMetrics, JobMetrics {
  readonly commit: CommitMetrics;
  readonly audit: AuditMetrics;
}

/** Counters and histograms that the paths and jobs feed. */
export function coordinatorMetrics(metrics: Metrics): CoordinatorMetrics {
  return {
    bytesWritten: metrics.counter('minikv_bytes_written_total', 'Bytes of values written.'),
    valuesInlined: metrics.counter(
      'minikv_values_inlined_total',
      'Small values written that coordinators keep with their keys.',
    ),
    bytesRead: metrics.counter('minikv_bytes_read_total', 'Bytes of values read.'),
    failovers: metrics.counter(
      'minikv_read_failovers_total',
      'Copies that could not be read, by reason.',
      ['reason'],
    ),
    commit: {
      seconds: metrics.histogram(
        'minikv_commit_seconds',
        'From the start of a mutation to its answer, by verdict.',
        LATENCY_SECONDS,
        ['verdict'],
      ),
    },
    audit: {
      digestsAgreed: metrics.counter(
        'minikv_state_digests_agreed_total',
        'Indexes at which a majority had the state of this node.',
      ),
      digestMismatches: metrics.counter(
        'minikv_state_digest_mismatches_total',
        'Times that another coordinator had another state than a majority with this one.',
      ),
      scrubs: metrics.counter(
        'minikv_state_scrubs_total',
        'Scrubs of the stored metadata, by result.',
        ['result'],
      ),
      diverged: metrics.counter(
        'minikv_state_diverged_total',
        'This node has found its own state wrong and stops.',
      ),
    },
    helloRefusals: metrics.counter(
      'minikv_hello_refusals_total',
      'Volume streams refused because they were meant for somebody else.',
    ),
    copiesRepaired: metrics.counter('minikv_copies_repaired_total', 'Copies made by repair.'),
    bytesRepaired: metrics.counter('minikv_repaired_bytes_total', 'Bytes copied by repair.'),
    copiesReclaimed: metrics.counter('minikv_copies_reclaimed_total', 'Garbage copies dropped.'),
    copiesChecked: metrics.counter(
      'minikv_copies_checked_total',
      'Copies that volumes were asked about after an unclean start.',
    ),
    copiesMissing: metrics.counter(
      'minikv_copies_missing_total',
      'Copies that were absent or bad when asked about after an unclean start.',
    ),
  };
}

export interface SampledSources {
  readonly clock: Clock;
  readonly consensus: Consensus;
  readonly metadata: Metadata;
  readonly directory: VolumeDirectory;
  readonly cache: BlobCache;
  readonly audit: { readonly agreedIndex: number };
  /** Mutations without an answer yet. */
  readonly commitsRunning: () => number;
}

/** Gauges that are read at each scrape. */
export function sampleCoordinator(metrics: Metrics, sources: SampledSources): void {
  const { clock, consensus, metadata, directory, cache, commitsRunning } = sources;
  const startedMs = clock.monotonicMs();
  const sum = (read: (volume: LiveVolume) => number): number =>
    directory.live().reduce((total, volume) => total + read(volume), 0);
  const role = (): string => consensus.status().role;
  const gauges: readonly (readonly [string, string, () => number])[] = [
    ['minikv_healthy_volumes', 'Volumes heard at present.', () => directory.live().length],
    ['minikv_total_keys', 'Keys that exist.', () => metadata.counters.keys],
    ['minikv_total_bytes', 'Bytes of all values, once each.', () => metadata.counters.bytes],
    [
      'minikv_under_replicated_keys',
      'Keys with fewer good copies than wanted.',
      () => metadata.counters.underReplicated,
    ],
    ['minikv_lost_keys', 'Keys without any good copy.', () => metadata.counters.lost],
    ['minikv_garbage_copies', 'Copies that wait to be dropped.', () => metadata.counters.garbage],
    ['minikv_volume_bytes', 'Bytes used on live volumes.', () => sum((volume) => volume.usedBytes)],
    [
      'minikv_volume_free_bytes',
      'Bytes free on live volumes.',
      () => sum((volume) => volume.freeBytes),
    ],
    ['minikv_volume_total_keys', 'Copies on live volumes.', () => sum((volume) => volume.copies)],
    ['minikv_raft_term', 'Raft term.', () => consensus.status().term],
    ['minikv_raft_commit_index', 'Highest committed Raft index.', () => consensus.status().commit],
    ['minikv_raft_applied_index', 'Highest applied Raft index.', () => metadata.appliedIndex],
    [
      'minikv_raft_last_index',
      'Last index of the own Raft log.',
      () => consensus.status().lastIndex,
    ],
    [
      'minikv_raft_leader_contact_seconds',
      'Since the leader was heard; -1: never.',
      () => finite(consensus.leaderContactMs() / 1000),
    ],
    [
      'minikv_uptime_seconds',
      'Since the process started.',
      () => (clock.monotonicMs() - startedMs) / 1000,
    ],
    ['minikv_two_phase_in_flight', 'Mutations without an answer yet.', commitsRunning],
    [
      'minikv_metadata_unflushed_bytes',
      'Applied state not yet on disk.',
      () => metadata.unflushedBytes,
    ],
    ['minikv_fence_index', 'Births below are decided.', () => metadata.marks.fence],
    ['minikv_blob_cache_bytes', 'Bytes in the blob cache.', () => cache.bytes],
    ['minikv_blob_cache_hits', 'Reads that the blob cache answered.', () => cache.hits],
    ['minikv_blob_cache_misses', 'Reads that it did not.', () => cache.misses],
  ];
  for (const [name, help, read] of gauges) metrics.sampled(name, help, read);
  sampleTrust(metrics, sources);
  // One gauge for three roles, 0 or 1, as dashboards expect it.
  const roles = metrics.gauge('minikv_raft_role', 'Which role this node has.', ['role']);
  const showRole = (): void => {
    for (const name of ['leader', 'candidate', 'follower']) {
      roles.set(roleName(role()) === name ? 1 : 0, { role: name });
    }
  };
  showRole();
  consensus.onLeadership(showRole);
}

/** How far this state, and what disks are said to hold, was looked at. */
function sampleTrust(metrics: Metrics, { metadata, audit }: SampledSources): void {
  metrics.sampled(
    'minikv_unreconciled_disks',
    'Disks whose copies are still looked for after an unclean start.',
    () => metadata.disks().filter(isUnreconciled).length,
  );
  metrics.sampled(
    'minikv_state_agreed_index',
    'Newest index at which a majority had the state of this node; 0: none since its start.',
    () => audit.agreedIndex,
  );
  metrics.sampled(
    'minikv_state_in_doubt',
    '1 while coordinators differ without a majority and nothing is served.',
    () => (metadata.isTrusted ? 0 : 1),
  );
}

const isUnreconciled = ({ reconciled, state }: DiskRecord): boolean =>
  !reconciled && state !== 'gone';
const roleName = (role: string): string => (role === 'pre-candidate' ? 'candidate' : role);
const finite = (value: number): number => (Number.isFinite(value) ? value : -1);
