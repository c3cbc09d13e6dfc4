/** Ports, folders and commands of a local cluster, and the folder that remembers them. */
import { describe, expect, test } from '@jest/globals';
import { mismatch, planOf, processesOf } from './local-plan.ts';

const programs = { coordinator: ['node', 'c.ts'], volume: ['node', 'v.ts'] };
const request = {
  coordinators: 3,
  volumes: 2,
  dataDir: '/d',
  basePort: 5000,
  logLevel: 'info',
};

describe('planOf', () => {
  const plan = planOf(request, programs);
  test('coordinators from the base port, volumes a thousand above, HTTP then gRPC', () => {
    expect(plan.map(({ name, http, grpc }) => `${name} ${http} ${grpc}`)).toEqual([
      'c1 http://127.0.0.1:5000 127.0.0.1:5001',
      'c2 http://127.0.0.1:5002 127.0.0.1:5003',
      'c3 http://127.0.0.1:5004 127.0.0.1:5005',
      'v1 http://127.0.0.1:6000 127.0.0.1:6001',
      'v2 http://127.0.0.1:6002 127.0.0.1:6003',
    ]);
  });

  test('each command starts that one process, with no more replicas than volumes', () => {
    expect(plan[1]?.command.join(' ')).toBe(
      'node c.ts serve --id c2 --bind 127.0.0.1:5002 --grpc 127.0.0.1:5003 --log-level info ' +
        '--db /d/c2 --peers c1=127.0.0.1:5001,c2=127.0.0.1:5003,c3=127.0.0.1:5005 --replicas 2',
    );
    expect(plan[3]?.command.join(' ')).toBe(
      'node v.ts serve --id v1 --bind 127.0.0.1:6000 --grpc 127.0.0.1:6001 --log-level info ' +
        '--data /d/v1 --coordinators 127.0.0.1:5001,127.0.0.1:5003,127.0.0.1:5005',
    );
  });
});

describe('a second start', () => {
  const held = processesOf(JSON.stringify(planOf(request, programs)));
  test('agrees with the same request, whatever the log level', () => {
    expect(mismatch(held, planOf({ ...request, logLevel: 'debug' }, programs), '/d')).toBeNull();
  });

  test.each([{ basePort: 7000 }, { volumes: 3 }, { coordinators: 1 }])('refuses %j', (other) => {
    expect(mismatch(held, planOf({ ...request, ...other }, programs), '/d')).toBe(
      '/d holds a cluster made with --coordinators 3 --volumes 2 --base-port 5000: ' +
        'start it so, or give another --data-dir',
    );
  });

  test('takes a broken processes.json for none', () => {
    expect(processesOf('{')).toEqual([]);
    expect(processesOf('[1, {"name": "c1"}]')).toEqual([]);
  });
});
