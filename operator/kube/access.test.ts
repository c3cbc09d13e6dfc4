/** What a kubeconfig gives: server, headers, certificates. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { KubeConfig } from '@kubernetes/client-node';
import { removeTempDirs, tempDir } from '../../services/testing/temp-dir.ts';
import { accessOf, defaultAccess } from './access.ts';

afterEach(removeTempDirs);

const configOf = (cluster: object, user: object): KubeConfig => {
  const config = new KubeConfig();
  config.loadFromOptions({
    clusters: [{ name: 'c', server: 'https://api:6443', ...cluster }],
    users: [{ name: 'u', ...user }],
    contexts: [{ name: 'x', cluster: 'c', user: 'u' }],
    currentContext: 'x',
  });
  return config;
};
const base64 = (text: string): string => Buffer.from(text).toString('base64');

test('certificates and a token', async () => {
  const access = accessOf(
    configOf(
      { caData: base64('CA'), tlsServerName: 'kubernetes' },
      { certData: base64('CERT'), keyData: base64('KEY'), token: 't' },
    ),
  );
  expect(access.serverUrl.href).toBe('https://api:6443/');
  expect(await access.authorize()).toEqual({
    headers: { authorization: 'Bearer t' },
    tls: {
      ca: Buffer.from('CA'),
      cert: Buffer.from('CERT'),
      key: Buffer.from('KEY'),
      servername: 'kubernetes',
    },
  });
});

test('a name and a password', async () => {
  const access = accessOf(configOf({ skipTLSVerify: true }, { username: 'a', password: 'b' }));
  expect(await access.authorize()).toEqual({
    headers: { authorization: `Basic ${base64('a:b')}` },
    tls: { rejectUnauthorized: false },
  });
});

test('no cluster and a proxy are refused in words', () => {
  expect(() => accessOf(new KubeConfig())).toThrow('neither a kubeconfig nor a service account');
  expect(() => accessOf(configOf({ proxyUrl: 'http://proxy' }, {}))).toThrow('proxy-url');
});

test('the file that KUBECONFIG names, whose token file stands beside it', async () => {
  const folder = await tempDir();
  const config = configOf(
    {},
    { authProvider: { name: 'f', config: { tokenFile: join(folder, 't') } } },
  );
  await writeFile(join(folder, 't'), 'from-file\n');
  await writeFile(join(folder, 'config'), config.exportConfig());
  const before = process.env['KUBECONFIG'];
  process.env['KUBECONFIG'] = join(folder, 'config');
  try {
    expect(await defaultAccess().authorize()).toEqual({
      headers: { authorization: 'Bearer from-file' },
      tls: {},
    });
  } finally {
    if (before === undefined) delete process.env['KUBECONFIG'];
    else process.env['KUBECONFIG'] = before;
  }
});
