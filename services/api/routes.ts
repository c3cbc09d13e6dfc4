/**
 * Every route of both processes as data: servers build from it, tests go through it, and a new route
 * without a rule does not compile. `*` stands for a key, `:name` for one path segment.
 */
export type Method = 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';

/**
 * Who may call it, and where: `data` on the HTTP port only; `observe` on both; `operate` changes the
 * cluster, so only on the admin port where there is one.
 */
export type Access = 'data' | 'observe' | 'operate';

export interface Route {
  readonly method: Method;
  readonly path: string;
  readonly access: Access;
  /** Answered 501: the sentence says what is planned instead. */
  readonly missing?: { readonly feature: string; readonly roadmap: string };
}

const route = (method: Method, path: string, access: Access): Route => ({ method, path, access });

const keyRoutes = (path: string): Route[] => {
  const methods: Method[] = ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'];
  return methods.map((method) => route(method, path, 'data'));
};

/** What a 501 says of the plans. */
export const MISSING_ROADMAP = 'planned; see the README for what this version does';

const missing = (feature: string, access: Access, paths: readonly string[]): Route[] =>
  paths.map((entry) => {
    const [method = '', path = ''] = entry.split(' ');
    return {
      method: methodOf(method),
      path,
      access,
      missing: { feature, roadmap: MISSING_ROADMAP },
    };
  });

function methodOf(text: string): Method {
  if (text === 'GET' || text === 'PUT' || text === 'DELETE') return text;
  return 'POST';
}

export const DATA_ROUTES: readonly Route[] = [
  ...keyRoutes('/kv/*'),
  ...keyRoutes('/*'),
  route('GET', '/kv', 'data'),
  route('GET', '/range', 'data'),
  route('POST', '/batch', 'data'),
  route('POST', '/transaction', 'data'),
  route('GET', '/txn/:id', 'data'),
];

const HEALTH_ROUTES: readonly Route[] = [
  route('GET', '/health', 'observe'),
  route('GET', '/health/live', 'observe'),
  route('GET', '/health/ready', 'observe'),
  route('GET', '/metrics', 'observe'),
  route('GET', '/admin/status', 'observe'),
];

export const CONTROL_ROUTES: readonly Route[] = [
  ...HEALTH_ROUTES,
  route('GET', '/admin/cluster', 'observe'),
  route('POST', '/admin/bootstrap', 'operate'),
  route('POST', '/admin/leader/transfer', 'operate'),
  route('POST', '/admin/volumes/:name', 'operate'),
];

export const MISSING_ROUTES: readonly Route[] = [
  ...missing('verify', 'operate', ['POST /admin/verify']),
  ...missing('repair', 'operate', ['POST /admin/repair']),
  ...missing('compact', 'operate', ['POST /admin/compact']),
  ...missing('scale', 'operate', ['POST /admin/scale']),
  ...missing('backup', 'operate', ['POST /admin/backup', 'GET /admin/backup']),
  ...missing('restore', 'operate', ['POST /admin/restore']),
  ...missing('import', 'operate', ['POST /admin/import']),
  ...missing('export', 'observe', ['GET /admin/export']),
  ...missing('watch', 'data', ['GET /watch/sse', 'GET /watch/ws']),
  ...missing('search', 'data', ['GET /search']),
  ...missing('s3', 'data', [
    'GET /s3/:bucket/:key',
    'PUT /s3/:bucket/:key',
    'DELETE /s3/:bucket/:key',
  ]),
];

export const VOLUME_ROUTES: readonly Route[] = [
  ...HEALTH_ROUTES,
  route('GET', '/blob/:copyId', 'data'),
  route('HEAD', '/blob/:copyId', 'data'),
];

/** First path segments that a bare key may not have; `/kv/` takes every key. */
export const RESERVED_SEGMENTS: ReadonlySet<string> = new Set([
  'kv',
  'health',
  'metrics',
  'admin',
  'batch',
  'transaction',
  'txn',
  'range',
  'watch',
  's3',
  'search',
  'internal',
]);

/** The routes whose path fits, of any method; key patterns (`*`) are left to the caller. */
export function routesAt(routes: readonly Route[], path: string): readonly Route[] {
  const segments = path.split('/');
  return routes.filter((candidate) => {
    const pattern = candidate.path.split('/');
    return (
      pattern.length === segments.length &&
      pattern.every((part, i) =>
        part.startsWith(':') ? segments[i] !== '' : part !== '*' && part === segments[i],
      )
    );
  });
}
