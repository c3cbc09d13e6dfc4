/** Structured logs: constant lower-case phrases with fields, one JSON object a line on stderr. */
import { pino } from 'pino';

export type LogFields = Readonly<Record<string, unknown>>;
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  child(fields: LogFields): Logger;
  setLevel(level: LogLevel): void;
}

/** A logger that writes synchronously to stderr: nothing is lost when the process stops at once. */
export function createLogger(level: LogLevel, fields: LogFields = {}): Logger {
  const destination = pino.destination({ fd: 2, sync: true });
  const root = pino(
    { level, base: fields, timestamp: pino.stdTimeFunctions.isoTime, errorKey: 'error' },
    destination,
  );
  return wrap(root);
}

/** Says nothing; for tests and tools. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
  setLevel: () => undefined,
};

/** The part of pino that we use; its own generic type does not survive `child`. */
interface PinoLike {
  level: string;
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  child(fields: LogFields): PinoLike;
}

function wrap(inner: PinoLike): Logger {
  return {
    debug: (fields, message) => inner.debug(fields, message),
    info: (fields, message) => inner.info(fields, message),
    warn: (fields, message) => inner.warn(fields, message),
    error: (fields, message) => inner.error(fields, message),
    child: (fields) => wrap(inner.child(fields)),
    setLevel: (level) => {
      inner.level = level;
    },
  };
}
