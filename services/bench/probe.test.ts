/** What the kernel's and Prometheus' texts say, odd process names and labels included. */
import { expect, test } from '@jest/globals';
import { cpuSecondsOf, machineSecondsOf, sampleCpu, valueOf } from './probe.ts';

test('CPU of a process is user and system time, whatever its name', () => {
  const stat = '42 (a) b 7 7) S 1 42 42 0 -1 4194304 9 0 0 0 123 45 6 7 20 0 11 0 100 9 9';
  expect(cpuSecondsOf(stat)).toBeCloseTo(1.68);
});

test('the machine is busy in all but idle and iowait', () => {
  expect(machineSecondsOf('cpu  100 20 30 4000 500 6 7 8 0 0\ncpu0 1 1 1\n')).toBeCloseTo(1.71);
});

test('this process has spent some time, a pid that is not there has none', async () => {
  const { secondsByPid } = await sampleCpu([process.pid, 2 ** 30]);
  if (process.platform !== 'linux') return;
  expect(secondsByPid.get(process.pid)).toBeGreaterThan(0);
  expect(secondsByPid.has(2 ** 30)).toBe(false);
});

test('a metric is summed over its labels and not taken for another of a longer name', () => {
  const text =
    '# HELP a_total x\n# TYPE a_total counter\na_total{k="x 1"} 2\na_total{k="y"} 3\na_total_2 9\nb 4\n';
  expect([valueOf(text, 'a_total'), valueOf(text, 'b'), valueOf(text, 'c')]).toEqual([5, 4, null]);
});
