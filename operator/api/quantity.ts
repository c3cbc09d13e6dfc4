/**
 * Amounts as Kubernetes writes them: `512Mi`, `1.5Gi`, `100m`. Amounts of bytes stay text, as CEL's
 * `quantity()` takes no number.
 */
import { z } from 'zod';
import { present } from '../../services/common/assert.ts';

const BYTES = /^[0-9]{1,15}(\.[0-9]{1,3})?(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$/;
const CPU = /^([0-9]{1,6}m|[0-9]{1,6}(\.[0-9]{1,3})?)$/;
const TEXT_MAX = 24;

const UNITS: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ...['k', 'M', 'G', 'T', 'P'].map((unit, i): [string, number] => [unit, 1000 ** (i + 1)]),
  ...['Ki', 'Mi', 'Gi', 'Ti', 'Pi'].map((unit, i): [string, number] => [unit, 1024 ** (i + 1)]),
]);

/** Text of an amount of bytes. */
export const byteAmount = () =>
  z
    .string()
    .min(1)
    .max(TEXT_MAX)
    .regex(BYTES, { error: 'must be bytes such as 512Mi, 1.5Gi or 1000000', abort: true });

/** Cores, `1`, `0.5` or `500m`; a YAML number is read as its text. */
export const cpuAmount = () =>
  z
    .union([z.string().min(1).max(TEXT_MAX).regex(CPU, 'must be cores such as 500m or 2'), z.int()])
    .meta({ 'x-kubernetes-int-or-string': true })
    .transform(String);

/** Whole bytes of an amount that `byteAmount` let pass, rounded up as Kubernetes does. */
export function bytesOf(amount: string): number {
  const digits = /^[0-9.]+/.exec(amount)?.[0] ?? '';
  const factor = present(UNITS.get(amount.slice(digits.length)), `unit of ${amount}`);
  return Math.ceil(Number(digits) * factor);
}
