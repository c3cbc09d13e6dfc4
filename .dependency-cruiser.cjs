/**
 * The rooms and the arrows between them (docs/architecture.md). Each room names what it may import
 * besides itself; everything else is an error.
 */
const rooms = {
  common: [],
  raft: ['common'],
  placement: ['common'],
  'two-phase-commit': ['common'],
  metadata: ['common'],
  disk: ['common'],
  config: ['common'],
  program: ['common', 'config', 'disk', 'telemetry'],
  api: ['common'],
  telemetry: ['common'],
  rpc: ['common', 'telemetry'],
  storage: ['common', 'telemetry', 'disk'],
  consensus: ['common', 'telemetry', 'disk', 'raft'],
  client: ['common', 'api'],
  coordinator: [
    'common',
    'config',
    'program',
    'api',
    'rpc',
    'telemetry',
    'disk',
    'consensus',
    'raft',
    'placement',
    'two-phase-commit',
    'metadata',
  ],
  volume: [
    'common',
    'config',
    'program',
    'api',
    'rpc',
    'telemetry',
    'disk',
    'storage',
    'two-phase-commit',
  ],
  cli: ['common', 'api', 'client'],
};

/** The operator's rooms: which of each other and which of the services' rooms they may import. */
const operatorRooms = {
  api: { services: ['common'] },
  manifests: { operator: ['api'], services: ['common'] },
  desired: { operator: ['api'], services: ['common'] },
  plan: { operator: ['api', 'desired'], services: ['common'] },
  kube: { services: ['common', 'telemetry'] },
  admin: { services: ['common', 'api', 'client'] },
  reconcile: {
    operator: ['api', 'desired', 'plan', 'kube', 'admin'],
    services: ['common', 'telemetry'],
  },
};

/** Packages and built-ins with one owner: [pattern, rooms that may import it]. */
const owners = [
  ['^(node:)?(crypto|zlib)$|node_modules/(blake3|hash-wasm)', ['common']],
  ['^(node:)?fs(/promises)?$', ['disk', 'cli']],
  ['^(node:)?sqlite$', ['disk']],
  ['node_modules/zod', ['config', 'api']],
  ['node_modules/(@kubernetes/client-node|yaml)/', []],
  ['node_modules/(pino|prom-client|@opentelemetry)/', ['telemetry']],
  ['node_modules/@grpc/', ['rpc']],
  ['node_modules/undici/', ['client']],
  ['node_modules/(level|abstract-level|classic-level)/', ['coordinator']],
  ['node_modules/express/|^(node:)?http$', ['coordinator', 'volume', 'operator']],
  ['node_modules/(ink|react)/', ['cli']],
];
const PURE = 'services/(raft|placement|two-phase-commit|metadata)|operator/(desired|plan)';
const test = '(\\.test\\.ts$|/testing/|/sim/|/bench/|^e2e/)';

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-orphans',
      severity: 'error',
      from: {
        orphan: true,
        pathNot: [test, 'main\\.ts$', '\\.d\\.ts$', '/generated/', 'types\\.ts$', 'launch\\.mjs$'],
      },
      to: {},
    },
    ...Object.entries(rooms).map(([room, allowed]) => ({
      name: `room-${room}`,
      comment: `${room} may import only: ${allowed.join(', ') || 'nothing'}`,
      severity: 'error',
      from: { path: `^services/${room}/`, pathNot: test },
      to: {
        path: '^(services|operator|e2e)/',
        pathNot: `^services/(${[room, ...allowed].join('|')})/`,
      },
    })),
    ...Object.entries(operatorRooms).map(([room, { operator = [], services }]) => ({
      name: `operator-${room}`,
      comment: `operator/${room} may import only: ${[...operator, ...services].join(', ')}`,
      severity: 'error',
      from: { path: `^operator/${room}/`, pathNot: test },
      to: {
        path: '^(services|operator|e2e)/',
        pathNot: `^(operator/(${[room, ...operator].join('|')})|services/(${services.join('|')}))/`,
      },
    })),
    ...Object.entries({ '@kubernetes/client-node': 'kube', zod: 'api' }).map(([name, room]) => ({
      name: `operator-owner-${room}`,
      comment: `in the operator ${name} belongs to operator/${room}`,
      severity: 'error',
      from: { path: '^operator/', pathNot: `${test}|^operator/${room}/` },
      to: { path: `node_modules/${name}/` },
    })),
    ...owners.map(([pattern, allowed], i) => ({
      name: `owner-${i}`,
      comment: `${pattern} belongs to ${allowed.join(', ')}`,
      severity: 'error',
      from: { path: '^services/', pathNot: `${test}|^services/(${allowed.join('|')})/` },
      to: { path: pattern },
    })),
    {
      name: 'pure-rooms',
      comment: 'No Node built-in and no package in a pure room.',
      severity: 'error',
      from: { path: `^(${PURE})/`, pathNot: test },
      to: { pathNot: '^(services|operator)/', dependencyTypesNot: ['local'] },
    },
    {
      name: 'engine-door',
      severity: 'error',
      from: { path: '^services/', pathNot: `${test}|^services/storage/` },
      to: { path: '^services/storage/', pathNot: '^services/storage/(engine|types)\\.ts$' },
    },
    {
      name: 'raft-door',
      severity: 'error',
      from: { path: '^services/', pathNot: `${test}|^services/raft/` },
      to: { path: '^services/raft/', pathNot: '^services/raft/(core|types|messages)\\.ts$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(dist|generated)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
