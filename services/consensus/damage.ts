/**
 * What a coordinator may find damaged in its folder at start. Each kind is counted and logged where it
 * is found, before anything is repaired: a loss that nobody names looks like health.
 */
import type { Logger } from '../telemetry/logger.ts';
import type { CounterMetric } from '../telemetry/metrics.ts';

/**
 * `torn_tail`: bytes behind the last sync, cut. `corruption`: a bad place in what was synced. `lost`:
 * synced records are absent. `vote_file`: the second home of term and vote is gone. `vote_slot`,
 * `identity_slot`: one of two slots does not verify and the other one served.
 */
export const LOG_DAMAGE_KINDS = [
  'torn_tail',
  'corruption',
  'lost',
  'vote_file',
  'vote_slot',
  'identity_slot',
] as const;

export type LogDamageKind = (typeof LOG_DAMAGE_KINDS)[number];

export function reportLogDamage(
  parts: { readonly logger: Logger; readonly metrics: { readonly logDamage: CounterMetric } },
  kind: LogDamageKind,
  fields: Readonly<Record<string, string | number>>,
): void {
  parts.metrics.logDamage.add(1, { kind });
  parts.logger.error({ kind, ...fields }, 'raft log is damaged');
}
