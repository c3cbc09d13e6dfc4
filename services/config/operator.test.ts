/** The operator's settings: what a pod gives, and what is refused. */
import { expect, test } from '@jest/globals';
import { readOperatorCommand } from './operator.ts';
import type { Environment } from './role.ts';

const read = (argv: readonly string[], env: Environment = {}) =>
  readOperatorCommand({ argv, env, readFile: () => Promise.reject(new Error('no file')) });

test('what the chart gives is enough, and an empty list of namespaces means all', async () => {
  const command = await read([], {
    POD_NAME: 'op-1',
    POD_NAMESPACE: 'system',
    MINIKV_WATCH_NAMESPACES: '',
  });
  expect(command).toMatchObject({
    kind: 'serve',
    loaded: {
      options: {
        watchNamespaces: [],
        adminNamespaces: [],
        podName: 'op-1',
        podNamespace: 'system',
        bind: { host: '0.0.0.0', port: 8080 },
        workers: 4,
        lease: { durationMs: 60_000, renewDeadlineMs: 40_000, retryMs: 5_000 },
        logLevel: 'info',
        terminationLog: null,
      },
    },
  });
});

test('namespaces are a list, each a name and each once', async () => {
  const given = ['--pod-namespace', 'system', '--watch-namespaces'];
  const command = await read([...given, 'a, b-2'], { MINIKV_WATCH_NAMESPACES: 'c' });
  expect(command).toMatchObject({ loaded: { options: { watchNamespaces: ['a', 'b-2'] } } });
  await expect(read([...given, 'a,a'])).rejects.toThrow('watchNamespaces must be');
  await expect(read([...given, 'A'])).rejects.toThrow('watchNamespaces must be');
});

test('a Lease that two could hold, or that one slow write loses, is refused', async () => {
  const given = ['--pod-namespace', 'system'];
  await expect(read([...given, '--lease-duration', '40s'])).rejects.toThrow('else two could act');
  await expect(read([...given, '--lease-retry', '30s'])).rejects.toThrow('one slow renewal');
});

test('the namespace of the Lease has no default', async () => {
  await expect(read([])).rejects.toThrow('podNamespace is missing');
});

test('help speaks of no settings file, for there is none', async () => {
  const command = await read(['--help']);
  const text = command.kind === 'print' ? command.text : '';
  expect(text).toContain('Usage: minikv-operator serve');
  expect(text).not.toContain('settings file');
  expect(text).not.toContain('--config ');
  await expect(read(['--config', '/x'])).rejects.toThrow('--config is not known');
});
