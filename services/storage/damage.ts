/**
 * Every piece of damage found: counted by kind, however much there is; what is remembered and logged of it
 * is bounded.
 */
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
  readonly #corrupt = new Places();
  readonly #refused = new Places();
  readonly #unreadable = new Places();
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
    const met = this.#corrupt.meet(damage);
    if (met === 'again') return;
    this.#count += 1;
    this.#metrics.damage.add(1, { kind });
    if (met === 'untold') return;
    this.#records.push(damage);
    this.#logger.error({ ...damage, kind }, 'damage on disk: quarantined');
  }

  /** The disk did not let a record be read: no damage is known. The same place is told once. */
  refused(damage: Damage): void {
    const met = this.#refused.meet(damage);
    if (met === 'again') return;
    this.#metrics.damage.add(1, { kind: 'refused_read' });
    if (met === 'untold') return;
    this.#logger.warn({ kind: 'refused_read', ...damage }, 'the disk refused to read a record');
  }

  /** It did not let it be read later either: that counts as damage, so that the copies here are looked for. */
  unreadable(damage: Damage): void {
    this.refused(damage);
    if (this.#unreadable.meet(damage) !== 'again') this.#count += 1;
  }

  /** Unsynced bytes that a crash left half written. */
  torn(
    damage: Omit<Damage, 'why'> & { readonly bytes: number; readonly keptAside: boolean },
  ): void {
    this.#tornBytes += damage.bytes;
    this.#metrics.damage.add(1, { kind: 'torn_tail' });
    this.#logger.warn({ kind: 'torn_tail', ...damage }, 'torn tail: cut');
  }

  /** A full disk has no room for what was torn; it was never acknowledged. */
  notKeptAside(segment: number, error: Error): void {
    this.#logger.warn({ segment, error }, 'no room to keep a torn tail aside');
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

/** Places that were met. Beyond so many none is remembered, and one that is met again counts again. */
class Places {
  readonly #known = new Set<string>();

  meet({ segment, offset }: Damage): 'first' | 'again' | 'untold' {
    const place = `${segment}/${offset}`;
    if (this.#known.has(place)) return 'again';
    if (this.#known.size >= REPORTED_DAMAGE_MAX) return 'untold';
    this.#known.add(place);
    return 'first';
  }
}
