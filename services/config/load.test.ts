/** Settings: who wins, what is refused and by which words, and what may change while running. */
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { KvError } from '../common/errors.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import {
  loadCoordinatorOptions,
  readCoordinatorCommand,
  watchCoordinatorSettings,
} from './coordinator.ts';
import { terminationLogOf } from './exit.ts';
import { durationText, flagOf, sizeText } from './fields.ts';
import type { Environment } from './role.ts';
import { loadVolumeOptions, readVolumeCommand } from './volume.ts';

const noFile = (path: string): Promise<string> => Promise.reject(new Error(`no file ${path}`));
const files = (content: Record<string, unknown>) => (path: string) => {
  const found = content[path];
  if (found === undefined) return noFile(path);
  return Promise.resolve(typeof found === 'string' ? found : JSON.stringify(found));
};

const C = ['serve', '--id', 'c1', '--db', '/db'];
const V = ['serve', '--id', 'v1', '--data', '/data', '--coordinators', 'c1:5001'];
const coordinator = (extra: readonly string[] = [], env: Environment = {}) =>
  loadCoordinatorOptions([...C, ...extra], env, noFile);
const volume = (extra: readonly string[] = [], env: Environment = {}) =>
  loadVolumeOptions([...V, ...extra], env, noFile);

async function refusal(attempt: Promise<unknown>): Promise<string> {
  const error = await attempt.then(
    () => new Error('was accepted'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof KvError)) throw error;
  expect(error.code).toBe('INVALID_ARGUMENT');
  return error.message;
}

describe('defaults', () => {
  test('a coordinator alone is its own first configuration', async () => {
    const { options } = await coordinator();
    expect(options).toMatchObject({
      name: 'c1',
      httpBind: '127.0.0.1:5000',
      peers: [{ name: 'c1', address: '127.0.0.1:5001' }],
      replicas: 3,
      minReplicas: 2,
      maxObjectBytes: 5 * 1024 ** 3,
      blobCacheBytes: 64 * 1024 ** 2,
      requestTimeoutMs: 10_000,
      fenceMs: 60_000,
      graceMs: 90_000,
      outcomesMax: 65_536,
      leaveWaitMs: 600_000,
      heartbeatMs: 50,
      electionMs: 600,
      adminBind: null,
    });
    expect((await coordinator(['--replicas', '1'])).options.minReplicas).toBe(1);
  });

  test('a coordinator advertises the address that the peers have of it', async () => {
    const peers = 'c2=h2:1,c1=h1:1';
    const { options } = await coordinator(['--peers', peers, '--grpc', '0.0.0.0:1']);
    expect(options.advertise).toBe('h1:1');
    expect(options.peers.map(({ name }) => name)).toEqual(['c2', 'c1']);
  });

  test('a volume keeps its active segment below its data and derives its HTTP address', async () => {
    const { options } = await volume(['--bind', '0.0.0.0:6000', '--advertise', 'v1.svc:6001']);
    expect(options).toMatchObject({
      walPath: '/data/wal',
      advertiseHttp: 'v1.svc:6000',
      zone: null,
      fsync: { kind: 'always' },
      segmentBytes: 64 * 1024 ** 2,
      reserveBytes: 256 * 1024 ** 2,
    });
  });
});

describe('precedence', () => {
  const readFile = files({ '/c.json': { replicas: 5, fence: '61s', grace: '91s', id: 'file' } });
  test('file, environment, flags: the later wins, and each origin is told', async () => {
    const loaded = await loadCoordinatorOptions(
      ['--db', '/db', '--grace', '93s'],
      { MINIKV_CONFIG: '/c.json', MINIKV_FENCE: '62s', MINIKV_GRACE: '92s', MINIKV_ID: 'c9' },
      readFile,
    );
    expect(loaded.options).toMatchObject({ replicas: 5, fenceMs: 62_000, graceMs: 93_000 });
    expect(loaded.options.configFile).toBe('/c.json');
    expect(loaded.sources).toMatchObject({
      id: 'environment MINIKV_ID',
      replicas: 'file /c.json',
      fence: 'environment MINIKV_FENCE',
      grace: 'flag --grace',
      heartbeatMs: 'default',
    });
  });

  test('container names serve beside MINIKV ones, which win; an empty one counts as absent', async () => {
    const env = {
      VOLUME_ID: 'v7',
      HTTP_BIND: '127.0.0.1:1',
      GRPC_BIND: '127.0.0.1:2',
      DATA_PATH: '/d',
      WAL_PATH: '/w',
      COORDINATORS: 'a:1, b:2',
      POD_UID: 'uid',
      POD_IP: '10.0.0.9',
      POD_NAME: 'ignored',
      MINIKV_GRPC: '127.0.0.1:3',
      MINIKV_ZONE: '',
      MINIKV_REPLICAS: '3',
    };
    const { options } = await loadVolumeOptions([], env, noFile);
    expect(options).toMatchObject({
      name: 'v7',
      httpBind: '127.0.0.1:1',
      grpcBind: '127.0.0.1:3',
      dataPath: '/d',
      walPath: '/w',
      coordinators: ['a:1', 'b:2'],
      podUid: 'uid',
      directAddress: '10.0.0.9:3',
      zone: null,
    });
    const v6 = await loadVolumeOptions([], { ...env, POD_IP: 'fd00::9' }, noFile);
    expect(v6.options.directAddress).toBe('[fd00::9]:3');
    const named = await loadCoordinatorOptions([], { POD_NAME: 'p-0', DB_PATH: '/d' }, noFile);
    expect(named.options.name).toBe('p-0');
    expect(named.options.directAddress).toBe('127.0.0.1:5001');
  });

  test('lists in the file are joined; --name=value is read like --name value', async () => {
    const { options } = await loadCoordinatorOptions(
      [...C, '--config=/c.json'],
      {},
      files({ '/c.json': { peers: ['c1=a:1', 'c2=b:1'], logLevel: 'debug', replicas: 2 } }),
    );
    expect(options.peers).toEqual([
      { name: 'c1', address: 'a:1' },
      { name: 'c2', address: 'b:1' },
    ]);
    expect(options.advertise).toBe('a:1');
  });
});

describe('refusals name the setting and say what is allowed', () => {
  test.each([
    [['--id', 'a b'], '--id is given twice'],
    [['--replicas', '6'], 'replicas must be a whole number from 1 to 5; "6" (flag --replicas)'],
    [['--replicas', '-1'], 'replicas must be a whole number from 1 to 5'],
    [['--min-replicas', '4'], 'minReplicas must be at most replicas, which is 3'],
    [['--max-object', '6GiB'], 'maxObject must be a size from 1 to 5GiB'],
    [['--max-object', '64MB'], 'such as 64MiB'],
    [['--fence', '60'], 'fence must be a duration from 1s to 1h, such as 5s'],
    [['--fence', '5s'], 'fence must be at least requestTimeout, which is 10s'],
    [['--grace', '10s'], 'grace must be longer than requestTimeout'],
    [['--election-ms', '100'], 'electionMs must be at least 3 times heartbeatMs'],
    [['--bind', '5000'], 'bind must be host:port'],
    [['--bind', 'h:70000'], 'bind must be host:port'],
    [['--grpc', '127.0.0.1:5000'], 'grpc must differ from --bind'],
    [['--grpc', '0.0.0.0:5001'], 'advertise must be given: nobody can dial 0.0.0.0:5001'],
    [['--bootstrap', 'yes'], 'bootstrap must be one of auto, manual'],
    [['--log-level', 'loud'], 'logLevel must be one of trace, debug, info, warn, error, silent'],
    [['--cluster-id', 'XYZ'], 'clusterId must be 32 lower-case hex digits'],
    [['--peers', 'a,b'], 'peers must be at most 7 name=host:port'],
    [['--peers', 'c1=a:1,c1=b:1'], 'each name and address once'],
    [['--peers', 'c2=a:1'], 'peers must list every coordinator, c1 itself too'],
    [['--nope', '1'], '--nope is not known; --help lists every flag'],
    [['stray'], 'stray is not known'],
    [['--zone', 'a'], '--zone is not known'],
    [['--heartbeat-ms'], '--heartbeat-ms needs a value'],
    [['--output', 'xml'], '--output must be text or json'],
  ])('coordinator %j', async (extra, sentence) => {
    expect(await refusal(coordinator(extra))).toContain(sentence);
  });

  test.each([
    [['--fsync', 'sometimes'], 'fsync must be always, interval=MS'],
    [['--fsync', 'interval=0'], 'fsync must be always, interval=MS'],
    [['--wal', '/data'], 'wal must be another folder than data'],
    [['--advertise', '[::]:1'], 'advertise must be given'],
    [['--advertise-http', '0.0.0.0:1'], 'advertiseHttp must be host:port as clients see it'],
    [['--compaction-rate', '0'], 'compactionRate must be a size'],
  ])('volume %j', async (extra, sentence) => {
    expect(await refusal(volume(extra))).toContain(sentence);
  });

  test('a URL is no gRPC address', async () => {
    const argv = ['--id', 'v1', '--data', '/d', '--coordinators', 'http://c1:5001'];
    expect(await refusal(loadVolumeOptions(argv, {}, noFile))).toContain('without http://');
  });

  test('what is missing is named with its flag and variable, all at once', async () => {
    expect((await refusal(loadVolumeOptions([], {}, noFile))).split('\n')).toEqual([
      'id is missing: give --id or MINIKV_ID',
      'data is missing: give --data or MINIKV_DATA',
      'coordinators is missing: give --coordinators or MINIKV_COORDINATORS',
    ]);
  });

  test('an unknown MINIKV variable is refused, the other role and the CLI are let pass', async () => {
    expect(await refusal(coordinator([], { MINIKV_REPLIKAS: '3' }))).toContain(
      'environment MINIKV_REPLIKAS is not known',
    );
    await coordinator([], { MINIKV_FSYNC: 'never', MINIKV_COORDINATOR: 'http://x', HOME: '/' });
  });

  test.each([
    ['not json', 'file /c.json is not JSON'],
    ['[1]', 'file /c.json must hold a JSON object of settings'],
    ['{"replicas": null}', 'replicas in file /c.json must be text, a number or a list of text'],
    ['{"replikas": 3}', 'replikas in file /c.json is not known; known are id, bind'],
    ['{"config": "/d.json"}', 'config in file /c.json is not known'],
    ['{"zone": "a"}', 'zone in file /c.json is not known'],
    ['{"replicas": 9}', '"9" (file /c.json) is refused'],
  ])('settings file %s', async (content, sentence) => {
    const argv = [...C, '--config', '/c.json'];
    const attempt = loadCoordinatorOptions(argv, {}, files({ '/c.json': content }));
    expect(await refusal(attempt)).toContain(sentence);
  });

  test('a settings file that is not there', async () => {
    expect(await refusal(coordinator(['--config', '/none']))).toContain(
      'file /none cannot be read: no file /none',
    );
  });
});

describe('the last words of refused settings', () => {
  test.each([
    [['--id', 'x', '--termination-log', '/t'], {}, '/t'],
    [['--termination-log=/t'], { MINIKV_TERMINATION_LOG: '/e' }, '/t'],
    [['--id', 'x'], { MINIKV_TERMINATION_LOG: '/e' }, '/e'],
    [['--termination-log'], {}, null],
    [[], {}, null],
  ])('%j %j: %s', (argv, env, place) => {
    expect(terminationLogOf({ argv, env })).toBe(place);
  });
});

describe('texts', () => {
  test('a size prints as the text that reads back to the same bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 5 * 1024 ** 3 }), async (bytes) => {
        const { options } = await coordinator(['--max-object', sizeText(bytes)]);
        expect(options.maxObjectBytes).toBe(bytes);
      }),
      { numRuns: 50 },
    );
    expect(sizeText(64 * 1024 ** 2)).toBe('64MiB');
  });

  test('a duration prints as the text that reads back to the same milliseconds', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 100, max: 50_000 }), async (ms) => {
        const { options } = await coordinator(['--request-timeout', durationText(ms)]);
        expect(options.requestTimeoutMs).toBe(ms);
      }),
      { numRuns: 50 },
    );
    expect(durationText(90_000)).toBe('90s');
    expect((await coordinator(['--shutdown-delay', '0'])).options.shutdownDelayMs).toBe(0);
  });

  test('fsync intervals read bare milliseconds and durations', async () => {
    const interval = { kind: 'interval', intervalMs: 100 };
    expect((await volume(['--fsync', 'interval=100'])).options.fsync).toEqual(interval);
    expect((await volume(['--fsync', 'interval=100ms'])).options.fsync).toEqual(interval);
  });
});

describe('commands', () => {
  const inputs = (argv: readonly string[]) => ({ argv, env: {}, readFile: noFile });
  test('--print-config shows each value and where it came from', async () => {
    const text = await readCoordinatorCommand(inputs([...C, '--print-config']));
    if (text.kind !== 'print') throw new Error('should print');
    expect(text.text).toMatch(/^maxObject +5GiB +default$/m);
    expect(text.text).toMatch(/^id +c1 +flag --id$/m);
    const json = await readVolumeCommand(inputs([...V, '--print-config', '--output', 'json']));
    if (json.kind !== 'print') throw new Error('should print');
    const printed = JSON.parse(json.text) as { settings: unknown[] };
    expect(printed.settings).toContainEqual({
      name: 'compactionRate',
      text: '64MiB',
      source: 'default',
      class: 'reload',
    });
  });

  test('--help needs no valid settings and lists every flag', async () => {
    const help = await readVolumeCommand(inputs(['--help']));
    const { settings } = await volume();
    if (help.kind !== 'print') throw new Error('should print');
    for (const { name } of settings) expect(help.text).toContain(`${flagOf(name)} `);
    expect(help.text).toContain('Examples:');
  });

  test('--version needs no valid settings either', async () => {
    const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
    expect(await readVolumeCommand(inputs(['--version']))).toEqual({
      kind: 'print',
      text: version,
    });
    expect(await readCoordinatorCommand(inputs(['serve', '--version']))).toMatchObject({
      text: version,
    });
  });

  test('else it serves', async () => {
    expect((await readCoordinatorCommand(inputs(C))).kind).toBe('serve');
  });
});

describe('the settings file is followed', () => {
  test('reload settings take effect, others are named until a restart', async () => {
    const clock = new ManualClock();
    const content: Record<string, unknown> = { '/c.json': { replicas: 3 } };
    const input = {
      argv: [...C, '--config', '/c.json'],
      env: { MINIKV_BLOB_CACHE: '1MiB' },
      readFile: (path: string) => files(content)(path),
    };
    const started = await loadCoordinatorOptions(input.argv, input.env, input.readFile);
    const seen: string[] = [];
    const watch = watchCoordinatorSettings(
      { clock, inputs: input },
      {
        started,
        changed: (options, names) =>
          seen.push(`${names.join()} ${options.logLevel} ${options.replicas}`),
        refused: (error) => seen.push(error.message),
      },
    );
    watch.start();
    content['/c.json'] = { replicas: 5, logLevel: 'debug', blobCache: '2MiB' };
    await clock.advance(4_999);
    expect(seen).toEqual([]);
    await clock.advance(1);
    expect(seen).toEqual(['logLevel debug 3']);
    expect(watch.pendingRestart).toEqual(['replicas']);

    content['/c.json'] = 'torn';
    await clock.advance(10_000);
    expect(seen.slice(1)).toEqual(['file /c.json is not JSON']);

    content['/c.json'] = { replicas: 3, logLevel: 'debug' };
    await clock.advance(5_000);
    expect(seen).toHaveLength(2);
    expect(watch.pendingRestart).toEqual([]);

    watch.stop();
    content['/c.json'] = { logLevel: 'error' };
    await clock.advance(60_000);
    expect(seen).toHaveLength(2);
  });
});
