/** Digests and checksums of a small and of a large piece. */
import { crc32 } from '../../../common/checksum.ts';
import { crc32c } from '../../../common/crc32c.ts';
import { digestOf } from '../../../common/digest.ts';
import { seededRandom } from '../../../common/random.ts';
import { formatBytes, KIB, MIB } from '../../../common/units.ts';
import { type MicroCase, mustHold } from '../micro-case.ts';

export const CHECKSUM_CASES: readonly MicroCase[] = [
  ...[KIB, MIB].flatMap((bytes) => [
    checksumCase('BLAKE3', bytes, digestOf),
    checksumCase('CRC-32', bytes, crc32),
  ]),
  checksumCase('CRC-32C', 4 * KIB, crc32c),
];

function checksumCase(
  name: string,
  sizeBytes: number,
  sumOf: (bytes: Uint8Array) => string | number,
): MicroCase {
  const size = formatBytes(sizeBytes);
  return {
    name: `checksums: ${name} of ${size}`,
    of: size,
    perStep: 1,
    onDisk: false,
    open() {
      const data = seededRandom(1).bytes(sizeBytes);
      const expected = sumOf(data);
      return {
        run(steps) {
          for (let i = 0; i < steps; i += 1) mustHold(sumOf(data) === expected, name);
        },
      };
    },
  };
}
