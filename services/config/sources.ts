/**
 * The three places that settings come from, each read into the same shape: text and origin by name.
 * Nothing here judges a value; what is refused here is a name nobody knows, or a value without form.
 */
import { z } from 'zod';
import { coordinatorRole } from './coordinator-fields.ts';
import { environmentOf, flagOf } from './fields.ts';
import { operatorRole } from './operator-fields.ts';
import { type Environment, fieldsOf, type NamedField } from './role.ts';
import { volumeRole } from './volume-fields.ts';

export interface Given {
  readonly text: string;
  readonly source: string;
}

export interface Reading {
  readonly given: ReadonlyMap<string, Given>;
  readonly problems: readonly string[];
}

export interface Arguments extends Reading {
  readonly help: boolean;
  readonly version: boolean;
  readonly printConfig: boolean;
  readonly output: 'text' | 'json';
}

const HELP = '--help';
const VERSION = '--version';
const PRINT_CONFIG = '--print-config';
const OUTPUT = '--output';
const SWITCHES: ReadonlySet<string> = new Set([HELP, VERSION, PRINT_CONFIG]);

/** Flags as `--name value` or `--name=value`, each once. */
export function readArguments(argv: readonly string[], fields: readonly NamedField[]): Arguments {
  const names = new Map(fields.map(({ name }) => [flagOf(name), name]));
  const known = new Set([HELP, VERSION, PRINT_CONFIG, OUTPUT, ...names.keys()]);
  const given = new Map<string, Given>();
  const problems: string[] = [];
  const texts = new Map<string, string>();
  for (const { flag, text } of splitArguments(argv)) {
    const name = names.get(flag);
    if (!known.has(flag)) problems.push(`${flag} is not known; --help lists every flag`);
    else if (texts.has(flag)) problems.push(`${flag} is given twice`);
    else if (text === undefined) problems.push(`${flag} needs a value`);
    else texts.set(flag, text);
    if (name !== undefined && text !== undefined) given.set(name, { text, source: `flag ${flag}` });
  }
  const output = texts.get(OUTPUT) ?? 'text';
  if (output !== 'text' && output !== 'json') problems.push(`${OUTPUT} must be text or json`);
  return {
    given,
    problems,
    help: texts.has(HELP),
    version: texts.has(VERSION),
    printConfig: texts.has(PRINT_CONFIG),
    output: output === 'json' ? 'json' : 'text',
  };
}

interface Argument {
  readonly flag: string;
  /** undefined: a flag that wants a value and has none. */
  readonly text: string | undefined;
}

/** Pairs flags with their values; a switch has the empty text, a stray word stands for itself. */
function splitArguments(argv: readonly string[]): readonly Argument[] {
  const rest = argv[0] === 'serve' ? argv.slice(1) : [...argv];
  const found: Argument[] = [];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const equals = word.indexOf('=');
    if (SWITCHES.has(word)) found.push({ flag: word, text: '' });
    else if (!word.startsWith('--')) found.push({ flag: word, text: undefined });
    else if (equals > 0) found.push({ flag: word.slice(0, equals), text: word.slice(equals + 1) });
    else
      found.push({
        flag: word,
        text: rest[0]?.startsWith('--') === true ? undefined : rest.shift(),
      });
  }
  return found;
}

/** Names that other commands of this project read: the CLI's coordinator URLs. */
export const OTHER_ENVIRONMENT = ['MINIKV_COORDINATOR'] as const;

/** `MINIKV_*` names that a process lets pass: all roles' settings may stand in one environment. */
const KNOWN_ENVIRONMENT: ReadonlySet<string> = new Set([
  ...OTHER_ENVIRONMENT,
  ...[coordinatorRole.schema, volumeRole.schema, operatorRole.schema]
    .flatMap(fieldsOf)
    .map(({ name }) => environmentOf(name)),
]);

/** Environment; an empty variable counts as not given, for templates that leave one empty. */
export function readEnvironment(env: Environment, fields: readonly NamedField[]): Reading {
  const given = new Map<string, Given>();
  for (const { name, facts } of fields) {
    const variable = [environmentOf(name), ...facts.aliases].find((key) => (env[key] ?? '') !== '');
    const text = variable === undefined ? undefined : env[variable];
    if (text !== undefined) given.set(name, { text, source: `environment ${variable ?? ''}` });
  }
  const problems = Object.keys(env)
    .filter((key) => key.startsWith('MINIKV_') && !KNOWN_ENVIRONMENT.has(key))
    .map((key) => `environment ${key} is not known; --help lists every variable`);
  return { given, problems };
}

const scalar = z.union([z.string(), z.number(), z.boolean()]);
const fileShape = z.record(z.string(), z.union([scalar, z.array(z.string())]));

/** A JSON object of settings: text, numbers, or lists of text. */
export function readSettingsFile(
  path: string,
  content: string,
  fields: readonly NamedField[],
): Reading {
  const source = `file ${path}`;
  const refuse = (sentence: string): Reading => ({ given: new Map(), problems: [sentence] });
  let json: unknown;
  try {
    json = JSON.parse(content);
  } catch {
    return refuse(`${source} is not JSON`);
  }
  const shape = fileShape.safeParse(json);
  if (!shape.success) {
    const name = shape.error.issues[0]?.path[0];
    const blamed = name === undefined ? 'it' : `${String(name)} in ${source}`;
    return refuse(
      name === undefined
        ? `${source} must hold a JSON object of settings`
        : `${blamed} must be text, a number or a list of text`,
    );
  }
  const given = new Map<string, Given>();
  const problems: string[] = [];
  const names = new Set(fields.map(({ name }) => name));
  names.delete('config');
  for (const [name, value] of Object.entries(shape.data)) {
    const text = Array.isArray(value) ? value.join(',') : String(value);
    if (names.has(name)) given.set(name, { text, source });
    else problems.push(`${name} in ${source} is not known; known are ${[...names].join(', ')}`);
  }
  return { given, problems };
}
