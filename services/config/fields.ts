/**
 * What a setting is: a schema that reads its text, and facts about it (class, environment names,
 * default, help) that help, `--print-config`, docs and reloading share. A field's flag and its
 * `MINIKV_*` name follow from its name, so none of the three can drift apart.
 */
import { z } from 'zod';
import { GIB, HOUR_MS, KIB, MIB, MINUTE_MS, SECOND_MS } from '../common/units.ts';
import type { NamedAddress } from './options.ts';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

/**
 * `start-only`: read for the first configuration. `restart`: in force from the next start.
 * `reload`: in force within seconds of a change of the settings file.
 */
export type SettingClass = 'start-only' | 'restart' | 'reload';

export interface FieldFacts {
  readonly class: SettingClass;
  /** Environment names besides `MINIKV_<NAME>`, which is asked first. */
  readonly aliases: readonly string[];
  /** Text of the default; undefined: required, optional, or derived from other settings. */
  readonly fallback?: string;
  /** Stands for the value in help. */
  readonly value: string;
  readonly help: string;
}

/** Facts by schema instance; every field of a role is registered once. */
export const fieldFacts = z.registry<FieldFacts>();

export function field<S extends z.ZodType>(
  schema: S,
  facts: Omit<FieldFacts, 'aliases'> & { readonly aliases?: readonly string[] },
): S {
  fieldFacts.add(schema, { aliases: [], ...facts });
  return schema;
}

/** `maxObject` -> `--max-object`. */
export const flagOf = (name: string): string => `--${dashed(name)}`;
/** `maxObject` -> `MINIKV_MAX_OBJECT`. */
export const environmentOf = (name: string): string =>
  `MINIKV_${dashed(name).replaceAll('-', '_').toUpperCase()}`;

const dashed = (name: string): string =>
  name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** A schema of text whose refusal says what is allowed; `parse` answers undefined to refuse. */
function reads<T>(allowed: string, parse: (text: string) => T | undefined) {
  return z.string().transform((text, context): T => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message: `must be ${allowed}` });
    return z.NEVER;
  });
}

const WHOLE = /^\d{1,15}$/;

export const wholeNumber = (min: number, max: number) =>
  reads(`a whole number from ${min} to ${max}`, (text) =>
    WHOLE.test(text) ? within(Number(text), min, max) : undefined,
  );

const SIZE = /^(\d{1,15})(B|Ki|KiB|Mi|MiB|Gi|GiB|Ti|TiB)?$/;
const SIZE_UNITS = new Map([
  ['B', 1],
  ['K', KIB],
  ['M', MIB],
  ['G', GIB],
  ['T', KIB * GIB],
]);

/** Bytes of `64MiB`, `5Gi`, `1048576`. */
export const size = (min: number, max: number) =>
  reads(
    `a size from ${sizeText(min)} to ${sizeText(max)}, such as 64MiB, 5Gi or 1048576`,
    (text) => {
      const [, count, unit = 'B'] = SIZE.exec(text) ?? [];
      const factor = SIZE_UNITS.get(unit.charAt(0));
      if (count === undefined || factor === undefined) return undefined;
      return within(Number(count) * factor, min, max);
    },
  );

/** The shortest exact text of a size, as a user may write it back. */
export function sizeText(bytes: number): string {
  for (const [letter, factor] of [...SIZE_UNITS].reverse()) {
    if (factor > 1 && bytes > 0 && bytes % factor === 0) return `${bytes / factor}${letter}iB`;
  }
  return String(bytes);
}

const DURATION = /^(\d{1,12})(ms|s|m|h)$/;
const DURATION_UNITS = new Map([
  ['ms', 1],
  ['s', SECOND_MS],
  ['m', MINUTE_MS],
  ['h', HOUR_MS],
]);

function durationMs(text: string): number | undefined {
  if (text === '0') return 0;
  const [, count, unit = ''] = DURATION.exec(text) ?? [];
  const factor = DURATION_UNITS.get(unit);
  return count === undefined || factor === undefined ? undefined : Number(count) * factor;
}

/** The shortest exact text of a duration. */
export function durationText(ms: number): string {
  for (const [unit, factor] of [...DURATION_UNITS].reverse()) {
    if (ms > 0 && ms % factor === 0) return `${ms / factor}${unit}`;
  }
  return '0';
}

/** Milliseconds of `5s`, `100ms`, `2m`, `1h` or `0`; a bare number is refused as ambiguous. */
export const duration = (minMs: number, maxMs: number) =>
  reads(
    `a duration from ${durationText(minMs)} to ${durationText(maxMs)}, such as 5s, 100ms or 2m`,
    (text) => within(durationMs(text), minMs, maxMs),
  );

/** As `duration`, for names that end in Ms: there a bare number is milliseconds. */
export const milliseconds = (minMs: number, maxMs: number) =>
  reads(`milliseconds from ${minMs} to ${maxMs}, such as 1000 or 1s`, (text) =>
    within(WHOLE.test(text) ? Number(text) : durationMs(text), minMs, maxMs),
  );

export const oneOf = <const T extends string>(...choices: readonly T[]) =>
  reads(`one of ${choices.join(', ')}`, (text) => choices.find((choice) => choice === text));

export const logLevel = () => oneOf('trace', 'debug', 'info', 'warn', 'error', 'silent');

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/;
const NAME_RULE = 'letters, digits, dots, dashes and underscores';

export const processName = () =>
  reads(`a name of 1 to 253 ${NAME_RULE}`, (text) => (NAME.test(text) ? text : undefined));

const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

export const namespaceName = () =>
  reads('a Kubernetes namespace: 1 to 63 of a to z, 0 to 9 and -', (text) =>
    NAMESPACE.test(text) ? text : undefined,
  );

/** Names of namespaces separated by commas; may be empty. */
export const namespaceList = () =>
  reads('Kubernetes namespaces separated by commas, each once', (text) => {
    const names = items(text);
    const isValid = names.every((name) => NAMESPACE.test(name));
    return isValid && new Set(names).size === names.length ? names : undefined;
  });

export const hex32 = () =>
  reads('32 lower-case hex digits', (text) => (/^[0-9a-f]{32}$/.test(text) ? text : undefined));

/** Any text of up to 255 characters without control characters; may be empty. */
export const label = () =>
  reads('text of at most 255 characters without control characters', (text) =>
    /^[^\p{Cc}]{0,255}$/u.test(text) ? text : undefined,
  );

export const path = () =>
  reads('a path', (text) => (text === '' || text.includes('\0') ? undefined : text));

const ADDRESS = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/;

/** The two halves of host:port; null when it is none. An IPv6 host keeps its brackets. */
export function splitAddress(text: string): { host: string; port: number } | null {
  const [, host, port] = ADDRESS.exec(text) ?? [];
  if (host === undefined || port === undefined || Number(port) > 65_535) return null;
  return { host, port: Number(port) };
}

/** host:port to listen on; port 0 picks a free one. */
export const bindAddress = () =>
  reads('host:port such as 127.0.0.1:5000 or [::1]:5000', (text) =>
    splitAddress(text) === null ? undefined : text,
  );

const isDialable = (text: string): boolean => (splitAddress(text)?.port ?? 0) > 0;

/** Addresses to dial, separated by commas. */
export const addressList = () =>
  reads('gRPC addresses host:port separated by commas, without http://', (text) => {
    const addresses = items(text);
    return addresses.length > 0 && addresses.every(isDialable) ? addresses : undefined;
  });

const COORDINATORS_MAX = 7;

/** `name=host:port` separated by commas; names and addresses differ; may be empty. */
export const namedAddresses = () =>
  reads(
    `at most ${COORDINATORS_MAX} name=host:port separated by commas, each name and address once`,
    (text) => {
      const peers = items(text).map(namedAddress);
      const known = peers.filter((peer) => peer !== undefined);
      const distinct = new Set(known.flatMap(({ name, address }) => [`n${name}`, `a${address}`]));
      const valid = known.length === peers.length && distinct.size === peers.length * 2;
      return valid && peers.length <= COORDINATORS_MAX ? known : undefined;
    },
  );

function namedAddress(text: string): NamedAddress | undefined {
  const [name = '', address = '', ...more] = text.split('=');
  const valid = NAME.test(name) && isDialable(address) && more.length === 0;
  return valid ? { name, address } : undefined;
}

const INTERVAL_MAX_MS = MINUTE_MS;

/** When a volume syncs: before each acknowledgement, every so often, or when the system likes. */
export const fsync = () =>
  reads(
    `always, interval=MS (1 to ${INTERVAL_MAX_MS}, such as interval=100 or interval=1s) or never`,
    (text) => {
      if (text === 'always' || text === 'never') return { kind: text } as const;
      const [word, interval = '', ...more] = text.split('=');
      if (word !== 'interval' || more.length > 0) return undefined;
      const given = WHOLE.test(interval) ? Number(interval) : durationMs(interval);
      const intervalMs = within(given, 1, INTERVAL_MAX_MS);
      return intervalMs === undefined ? undefined : ({ kind: 'interval', intervalMs } as const);
    },
  );

const items = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');

const within = (value: number | undefined, min: number, max: number): number | undefined =>
  value !== undefined && value >= min && value <= max ? value : undefined;
