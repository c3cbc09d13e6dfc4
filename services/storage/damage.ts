/** Every piece of damage found: counted by kind, logged once, and bounded in memory. */
import type { Logger } from '../telemetry/logger.ts';
import { REPORTED_DAMAGE_MAX } from './limits.ts';
import type { DamageKind, StorageMetrics } from './metrics.ts';
import type { OpenReport } from './types.ts';

export interface Damage {
  readonly segment: number;
  readonly offset: number;
  readonly why: string;
}

export class DamageLog {
  readonly #logger: Logger;
  readonly #metrics: StorageMetrics;
  readonly #records: Damage[] = [];
  readonly #known = new Set<string>();
  #tornBytes = 0;
  #count = 0;

  constructor(components: { readonly logger: Logger; readonly metrics: StorageMetrics }) {
    this.#logger = components.logger;
    this.#metrics = components.metrics;
  }

  get corruptRecords(): OpenReport['corruptRecords'] {
    return [...this.#records];
  }

  get corruptCount(): number {
    return this.#count;
  }

  get tornBytes(): number {
    return this.#tornBytes;
  }

  /** A record that was durable and no longer verifies; the same place counts once. */
  corrupt(damage: Damage, kind: DamageKind = 'corrupt_record'): void {
    const place = `${damage.segment}/${damage.offset}`;
    if (this.#known.has(place) || this.#known.size >= REPORTED_DAMAGE_MAX) return;
    this.#known.add(place);
    this.#records.push(damage);
    this.#count += 1;
    this.#metrics.damage.add(1, { kind });
    this.#logger.error({ ...damage, kind }, 'damage on disk: quarantined');
  }

  /** The disk did not let a record be read: no damage is known. The same place is told once. */
  refused(damage: Damage): void {
    const place = `refused ${damage.segment}/${damage.offset}`;
    if (this.#known.has(place) || this.#known.size >= REPORTED_DAMAGE_MAX) return;
    this.#known.add(place);
    this.#metrics.damage.add(1, { kind: 'refused_read' });
    this.#logger.warn({ kind: 'refused_read', ...damage }, 'the disk refused to read a record');
  }

  /** Unsynced bytes that a crash left half written. */
  torn(segment: number, offset: number, bytes: number): void {
    this.#tornBytes += bytes;
    this.#metrics.damage.add(1, { kind: 'torn_tail' });
    this.#logger.warn(
      { kind: 'torn_tail', segment, offset, bytes },
      'torn tail: cut, a copy is kept aside',
    );
  }

  /** Bytes that a clean stop had vouched for are gone: a whole segment, or the end of one. */
  lost(segment: number, why: string): void {
    this.#count += 1;
    this.#metrics.damage.add(1, { kind: 'lost_bytes' });
    this.#logger.error({ kind: 'lost_bytes', segment, why }, 'bytes of a segment are gone');
  }

  /** One of the two slots of the folder's identity does not verify; the other one served. */
  identitySlot(): void {
    this.#metrics.damage.add(1, { kind: 'identity_slot' });
    this.#logger.warn({ kind: 'identity_slot' }, 'one slot of the volume identity is damaged');
  }

  /** The snapshot does not verify: the segments are read instead. */
  badSnapshot(why: string): void {
    this.#metrics.damage.add(1, { kind: 'snapshot' });
    this.#logger.warn({ kind: 'snapshot', why }, 'index snapshot thrown away');
  }
}
