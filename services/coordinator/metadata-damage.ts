/**
 * What may be wrong with the stored metadata at start. Each kind is counted and logged once; in every
 * case the table is thrown away as a whole, since the log and the other coordinators hold it too.
 */
import type { Logger } from '../telemetry/logger.ts';
import type { CounterMetric, Metrics } from '../telemetry/metrics.ts';

/**
 * `pointer`: the name of the present table is unreadable. `missing`: that table is not there, because
 * an earlier life found it bad or somebody removed it. `table_file`: a block of LevelDB's files fails
 * its checksum. `unopenable`: LevelDB itself calls it corrupt. `flush_chain`: LevelDB opened it and
 * has lost a flush. `row`: a row fails its checksum.
 */
export const METADATA_DAMAGE_KINDS = [
  'pointer',
  'missing',
  'table_file',
  'unopenable',
  'flush_chain',
  'row',
] as const;

export type MetadataDamageKind = (typeof METADATA_DAMAGE_KINDS)[number];

export interface MetadataDamage {
  readonly damage: MetadataDamageKind;
  readonly why: string;
}

/** Label `kind`: a MetadataDamageKind. */
export function metadataDamageCounter(metrics: Metrics): CounterMetric {
  const counter = metrics.counter(
    'minikv_metadata_damage_total',
    'Damage found at start in the stored metadata, which is then rebuilt.',
    ['kind'],
  );
  for (const kind of METADATA_DAMAGE_KINDS) counter.add(0, { kind });
  return counter;
}

export function reportMetadataDamage(
  parts: { readonly logger: Logger; readonly damage: CounterMetric },
  { damage: kind, why }: MetadataDamage,
): void {
  parts.damage.add(1, { kind });
  parts.logger.error({ kind, why }, 'metadata cannot be trusted and is rebuilt');
}
