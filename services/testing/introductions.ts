/** Who a process of a test says that it is. */
import type { Introduction } from '../rpc/hello.ts';

export function introductionOf(role: 'coordinator' | 'volume', from: number): Introduction {
  const fixed = { bootId: 1, address: '', version: '', httpAddress: '' };
  return { clusterId: 'c'.repeat(32), role, name: `${role}-${from}`, from, ...fixed };
}
