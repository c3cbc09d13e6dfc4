/** However much damage there is, it is counted; only what is remembered and logged has a bound. */
import { describe, expect, test } from '@jest/globals';
import { silentLogger } from '../telemetry/logger.ts';
import { CountingMetrics } from '../testing/storage-rig.ts';
import { DamageLog } from './damage.ts';
import { REPORTED_DAMAGE_MAX } from './limits.ts';
import { storageMetrics } from './metrics.ts';

function setUp() {
  const metrics = new CountingMetrics();
  let logged = 0;
  const count = (): void => void (logged += 1);
  const logger = { ...silentLogger, warn: count, error: count };
  const damage = new DamageLog({ logger, metrics: storageMetrics(metrics, { kind: 'always' }) });
  const counted = async (kind: string): Promise<number> => {
    const line = new RegExp(`damage_total\\{kind="${kind}"\\} (\\d+)`);
    return Number(line.exec(await metrics.print())?.[1]);
  };
  return { damage, counted, logged: () => logged };
}

const place = (offset: number) => ({ segment: 1, offset, why: 'decayed' });

describe('damage', () => {
  test('of the same place counts once', async () => {
    const { damage, counted, logged } = setUp();
    for (let i = 0; i < 3; i += 1) damage.corrupt(place(9));
    expect(damage.corruptCount).toBe(1);
    expect(damage.corruptRecords).toEqual([place(9)]);
    expect(await counted('corrupt_record')).toBe(1);
    expect(logged()).toBe(1);
  });

  test('beyond what is remembered goes on counting, and fills neither memory nor log', async () => {
    const { damage, counted, logged } = setUp();
    for (let at = 0; at < REPORTED_DAMAGE_MAX + 5; at += 1) damage.corrupt(place(at));
    expect(damage.corruptCount).toBe(REPORTED_DAMAGE_MAX + 5);
    expect(await counted('corrupt_record')).toBe(REPORTED_DAMAGE_MAX + 5);
    expect(damage.corruptRecords).toHaveLength(REPORTED_DAMAGE_MAX);
    expect(logged()).toBe(REPORTED_DAMAGE_MAX);
    damage.corrupt(place(0));
    expect(damage.corruptCount).toBe(REPORTED_DAMAGE_MAX + 5);
  });

  test('is seen however many reads were refused, and the other way round', async () => {
    const { damage, counted } = setUp();
    for (let at = 0; at < REPORTED_DAMAGE_MAX + 5; at += 1) damage.refused(place(at));
    expect(await counted('refused_read')).toBe(REPORTED_DAMAGE_MAX + 5);
    expect(damage.corruptCount).toBe(0);
    damage.corrupt(place(0));
    damage.corrupt(place(REPORTED_DAMAGE_MAX + 1));
    expect(damage.corruptCount).toBe(2);
    expect(await counted('corrupt_record')).toBe(2);
    expect(damage.corruptRecords).toHaveLength(2);
  });

  test('of a place that stays unreadable is counted as damage, once, and as a refused read', async () => {
    const { damage, counted } = setUp();
    damage.refused(place(5));
    damage.unreadable(place(5));
    damage.unreadable(place(5));
    expect(damage.corruptCount).toBe(1);
    expect(await counted('refused_read')).toBe(1);
    expect(damage.corruptRecords).toEqual([]);
  });
});
