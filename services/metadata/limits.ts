/**
 * Named maxima of the replicated state. Each takes part in `apply`, so it is the same on every node:
 * changing one is a change of the protocol.
 */
import { MINUTE_MS } from '../common/units.ts';

/** Idempotency rows kept of one principal, the newest by log order. */
export const IDEMPOTENCY_ROWS_MAX = 10_000;

/** Pins that stand at once; one more changes nothing, and its backup sees that it has none. */
export const PINS_MAX = 256;

/** The most that one Advance may raise the replicated time. */
export const TIME_STEP_MS_MAX = 10 * MINUTE_MS;

/** Forgotten outcome rows removed by one Advance, so that no command takes long. */
export const SWEEP_PER_ADVANCE_MAX = 1024;

/** Forgotten outcome rows removed as one is written: faster than they can come. */
export const SWEEP_PER_OUTCOME = 2;
