// What the scenarios share: settings, values that a reader can check without remembering them, requests that
// count as done only where the answer is the one that docs/http.md promises, and the keys of a run.
import { check, fail, sleep } from 'k6';
import http from 'k6/http';
import { Rate } from 'k6/metrics';

const PORTS_OF_NPM_START = [5000, 5002, 5004];

function whole(name, fallback, [min, max]) {
  const text = __ENV[name] || String(fallback);
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new Error(`${name} must be a whole number from ${min} to ${max}, not '${text}'`);
}

const URLS = (
  __ENV.MINIKV_URLS || PORTS_OF_NPM_START.map((port) => `http://127.0.0.1:${port}`).join()
)
  .split(',')
  .map((url) => url.trim().replace(/\/+$/, ''))
  .filter((url) => url !== '');
const VALUE_BYTES = whole('SIZE', 1024, [0, 64 * 1024 * 1024]);
/** Keys that `setup` writes, and that no scenario deletes. */
const KEYS = whole('KEYS', 1000, [1, 1000000]);
/** Keys that one user keeps of its own; the oldest is forgotten, and removed at the end with all others. */
const OWN_KEYS_MAX = 1000;
/** Of a listing and of a batch. */
const PAGE_KEYS = 1000;
const SETUP_REQUESTS_AT_ONCE = 20;
/** A user that was refused lets others go first, as `Retry-After` asks; the refusal counts all the same. */
const PAUSE_AFTER_FAILURE_S = 0.1;
/** Failures that one user puts into the log; all of them are counted. */
const COMPLAINTS_MAX = 3;
const TIMEOUT = '30s';

/** Every operation whose answer was not the one promised; its tags name operation, status and error code. */
const failures = new Rate('operations_failed');

/**
 * Options of a scenario. Nothing may fail, be it once. The times are ours: bounds that a store on one slow machine
 * keeps with ease, to find a store that hangs; they promise nothing, and a run for figures sets its own.
 */
export function optionsOf(p99Ms) {
  const times = Object.entries(p99Ms).map(([operation, ms]) => [
    `http_req_duration{operation:${operation}}`,
    [`p(99)<${ms}`],
  ]);
  return {
    vus: whole('VUS', 10, [1, 100000]),
    duration: __ENV.DURATION || '30s',
    setupTimeout: '10m',
    teardownTimeout: '10m',
    batch: SETUP_REQUESTS_AT_ONCE,
    batchPerHost: SETUP_REQUESTS_AT_ONCE,
    summaryTrendStats: ['min', 'avg', 'med', 'p(95)', 'p(99)', 'max'],
    thresholds: {
      checks: ['rate==1'],
      operations_failed: ['rate==0'],
      http_req_failed: ['rate==0'],
      ...Object.fromEntries(times),
    },
  };
}

/**
 * The bytes that belong under a key: those of a xorshift generator whose seed is the key, so that a value of another
 * key, a shifted one and one with a flipped bit all differ.
 */
function valueOf(key) {
  let state = 0x811c9dc5;
  for (let i = 0; i < key.length; i += 1) {
    state = Math.imul(state ^ key.charCodeAt(i), 0x01000193);
  }
  if (state === 0) state = 1;
  const words = new Uint32Array(Math.ceil(VALUE_BYTES / 4));
  for (let i = 0; i < words.length; i += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return words.buffer.slice(0, VALUE_BYTES);
}

/** Whether a body is, to the last byte, the value of its key. */
function isValueOf(key, body) {
  const value = valueOf(key);
  const size = body ? body.byteLength : 0;
  if (size !== value.byteLength) return false;
  if (size === 0) return true;
  const wordCount = size >>> 2;
  const is = new Uint32Array(body, 0, wordCount);
  const wanted = new Uint32Array(value, 0, wordCount);
  for (let i = 0; i < wordCount; i += 1) if (is[i] !== wanted[i]) return false;
  const isTail = new Uint8Array(body, wordCount * 4);
  const wantedTail = new Uint8Array(value, wordCount * 4);
  return isTail.every((byte, i) => byte === wantedTail[i]);
}

/** Where each operation goes: the coordinators in turn, so that what one took another is asked for. */
let turn = 0;
const nextUrl = () => URLS[(__VU + turn++) % URLS.length];

/** Go writes the names of headers in its own way; without an answer there are none. */
const etagOf = ({ headers }) => (headers && headers.Etag) || '';

/** The stable code of an error (docs/errors.md); of a request without an answer, k6's own. */
function codeOf({ status, body, error_code: noAnswer }) {
  if (status === 0) return `k6:${noAnswer}`;
  if (status < 400 || !body) return '';
  const text =
    typeof body === 'string' ? body : String.fromCharCode(...new Uint8Array(body).slice(0, 4096));
  try {
    return JSON.parse(text).code || '';
  } catch (_) {
    return 'no JSON';
  }
}

let complaints = 0;

/**
 * Counts an answer as right only where its status is the promised one and all `more` holds; one whose body did not
 * arrive whole has the status 0. Whatever is wrong is tagged with status and code. Answers whether it was right.
 */
function judge(operation, response, status, more = {}) {
  const code = codeOf(response);
  const tags = { operation, status: String(response.status), code };
  const wanted = { [`${operation}: ${status}`]: (each) => each.status === status, ...more };
  const missed = Object.keys(wanted).filter((name) => !wanted[name](response));
  const verdicts = Object.keys(wanted).map((name) => [name, () => !missed.includes(name)]);
  check(response, Object.fromEntries(verdicts), tags);
  failures.add(missed.length > 0, tags);
  if (missed.length === 0) return true;
  if (complaints < COMPLAINTS_MAX) {
    complaints += 1;
    const answer = [response.status, code || response.error].join(' ').trim();
    console.error(`failed: ${response.url} answered ${answer}, wanted ${missed.join('; ')}`);
  }
  sleep(PAUSE_AFTER_FAILURE_S);
  return false;
}

/** `name` keeps k6 from a time series for every key. */
const paramsOf = (operation, status, more = {}) => ({
  timeout: TIMEOUT,
  redirects: 0,
  responseType: 'text',
  responseCallback: http.expectedStatuses(status),
  tags: { operation, name: operation },
  ...more,
});

const urlOf = (key) => `${nextUrl()}/kv/${encodeURIComponent(key)}`;

const hasEtag = (operation) => ({
  [`${operation}: has an ETag`]: (each) => /^"[^"]+"$/.test(etagOf(each)),
});

function putAnswering(operation, key, status, headers = {}) {
  const allHeaders = { 'Content-Type': 'application/octet-stream', ...headers };
  const params = paramsOf(operation, status, { headers: allHeaders });
  const response = http.put(urlOf(key), valueOf(key), params);
  const right = judge(operation, response, status, hasEtag(operation));
  return right ? etagOf(response) : null;
}

/** Writes a key that was not there. Answers its ETag, or null where that failed. */
export const create = (key) => putAnswering('PUT', key, 201);

/** Writes a key that was there. Answers its new ETag, or null where that failed. */
export const replace = (key) => putAnswering('PUT', key, 200);

/** Replaces a key only where it still has this ETag. Answers the new one, or null where that failed. */
export const replaceIfMatch = (key, etag) =>
  putAnswering('PUT If-Match', key, 200, { 'If-Match': etag });

function putRefused(operation, key, headers) {
  const response = http.put(urlOf(key), valueOf(key), paramsOf(operation, 412, { headers }));
  return judge(operation, response, 412, {
    [`${operation}: PRECONDITION_FAILED`]: (each) => codeOf(each) === 'PRECONDITION_FAILED',
  });
}

/** Tries to create a key that is there, which must be refused. */
export const createInVain = (key) => putRefused('PUT If-None-Match', key, { 'If-None-Match': '*' });

/** Tries to replace a key by an ETag that it has no longer, which must be refused. */
export const replaceInVain = (key, formerEtag) =>
  putRefused('PUT If-Match (former)', key, { 'If-Match': formerEtag });

/** Reads a key that is there, every byte of it. */
export function read(key) {
  const response = http.get(urlOf(key), paramsOf('GET', 200, { responseType: 'binary' }));
  return judge('GET', response, 200, {
    'GET: the bytes of its key': (each) => each.status === 200 && isValueOf(key, each.body),
    ...hasEtag('GET'),
  });
}

/** Deletes a key that is there, and looks that it is gone. */
export function remove(key) {
  const deleted = http.del(urlOf(key), null, paramsOf('DELETE', 204));
  if (!judge('DELETE', deleted, 204)) return;
  const operation = 'GET deleted';
  judge(operation, http.get(urlOf(key), paramsOf(operation, 404)), 404, {
    [`${operation}: KEY_NOT_FOUND`]: (each) => codeOf(each) === 'KEY_NOT_FOUND',
  });
}

/** Keys that this user wrote, that were acknowledged, and that nobody else touches, with their ETags. */
const own = [];
let ownCount = 0;

export const ownKeyCount = () => own.length;
export const anyOwn = () => own[Math.floor(Math.random() * own.length)];

/** Writes a key that only this user knows of. */
export function createOwn(prefix) {
  ownCount += 1;
  const key = `${prefix}own/${__VU}/${ownCount}`;
  const etag = create(key);
  if (etag === null) return;
  if (own.length === OWN_KEYS_MAX) own.shift();
  own.push({ key, etag });
}

/** No longer counts on a key: it was deleted, or what became of it is unknown. */
export const forget = (entry) => own.splice(own.indexOf(entry), 1);

const sharedKey = (prefix, i) => `${prefix}shared/${i}`;

/** A key of those that `setup` wrote: they are there for the whole run. */
export const anyShared = (prefix) => sharedKey(prefix, Math.floor(Math.random() * KEYS));

/** A prefix that no other run has, with the shared keys below it. @throws where one cannot be written. */
export function prepare(scenario) {
  const run = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 8)}`;
  const prefix = `k6/${scenario}/${run}/`;
  const operation = 'prepare';
  for (let from = 0; from < KEYS; from += SETUP_REQUESTS_AT_ONCE) {
    const count = Math.min(SETUP_REQUESTS_AT_ONCE, KEYS - from);
    const keys = Array.from({ length: count }, (_, i) => sharedKey(prefix, from + i));
    const requests = keys.map((key) => ({
      method: 'PUT',
      url: urlOf(key),
      body: valueOf(key),
      params: paramsOf(operation, 201),
    }));
    const right = http
      .batch(requests)
      .map((response) => judge(operation, response, 201, hasEtag(operation)));
    if (right.includes(false)) {
      removeAll(prefix);
      fail(`the keys to read could not be written to ${URLS.join(', ')}: nothing was measured`);
    }
  }
  return prefix;
}

/** Deletes every key below the prefix of a run, those too of which no answer came. */
export function removeAll(prefix) {
  const list = `/kv?prefix=${encodeURIComponent(prefix)}&limit=${PAGE_KEYS}`;
  for (;;) {
    const page = http.get(`${nextUrl()}${list}`, paramsOf('list', 200));
    if (!judge('list', page, 200)) break;
    const keys = page.json().entries.map(({ key }) => key);
    if (keys.length === 0) return;
    const ops = keys.map((key) => ({ op: 'delete', key }));
    const headers = { 'Content-Type': 'application/json' };
    const params = paramsOf('clean up', 200, { headers });
    const batch = http.post(`${nextUrl()}/batch`, JSON.stringify({ ops }), params);
    const isDone = (each) =>
      each.status === 200 && each.json().results.every((result) => result.ok);
    if (!judge('clean up', batch, 200, { 'clean up: every key': isDone })) break;
  }
  console.error(`keys are left below ${prefix}`);
}
