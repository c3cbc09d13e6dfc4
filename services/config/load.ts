/**
 * Settings in force: defaults, then the settings file, then the environment, then flags; the later
 * wins. Either every setting is known and possible, or all refusals are told at once, by name.
 */
import type { z } from 'zod';
import { asError, KvError } from '../common/errors.ts';
import { environmentOf, flagOf } from './fields.ts';
import {
  fieldsOf,
  type Inputs,
  type Loaded,
  type NamedField,
  type Role,
  type Setting,
  type Texts,
} from './role.ts';
import {
  type Given,
  type Reading,
  readArguments,
  readEnvironment,
  readSettingsFile,
} from './sources.ts';

/** @throws KvError `INVALID_ARGUMENT` whose message has a line for each refused setting. */
export async function load<S extends z.ZodObject, O>(
  role: Role<S, O>,
  inputs: Inputs,
): Promise<Loaded<O>> {
  const fields = fieldsOf(role.schema);
  const flags = readArguments(inputs.argv, fields);
  const environment = readEnvironment(inputs.env, fields);
  const path = (flags.given.get('config') ?? environment.given.get('config'))?.text;
  const file = await readFileAt(path, inputs, fields);
  const given = new Map([...file.given, ...environment.given, ...flags.given]);
  const settings = inForce(role, fields, given);
  const problems = [...flags.problems, ...environment.problems, ...file.problems];
  const result = judge(role, settings, problems);
  if (result.kind === 'refused') {
    throw new KvError('INVALID_ARGUMENT', result.problems.join('\n'), {
      detail: { refused: result.problems.length },
    });
  }
  const sources = Object.fromEntries(settings.map(({ name, source }) => [name, source]));
  return { options: result.options, sources, settings };
}

async function readFileAt(
  path: string | undefined,
  inputs: Inputs,
  fields: readonly NamedField[],
): Promise<Reading> {
  if (path === undefined) return { given: new Map(), problems: [] };
  try {
    return readSettingsFile(path, await inputs.readFile(path), fields);
  } catch (error) {
    const why = asError(error).message;
    return { given: new Map(), problems: [`file ${path} cannot be read: ${why}`] };
  }
}

function inForce<S extends z.ZodObject, O>(
  role: Role<S, O>,
  fields: readonly NamedField[],
  given: ReadonlyMap<string, Given>,
): readonly Setting[] {
  const texts: Record<string, string> = {};
  for (const { name, facts } of fields) {
    const text = given.get(name)?.text ?? facts.fallback;
    if (text !== undefined) texts[name] = text;
  }
  const derived = role.derive(texts);
  return fields.map(({ name, facts }) => ({
    name,
    text: texts[name] ?? derived[name] ?? null,
    source: given.get(name)?.source ?? 'default',
    class: facts.class,
  }));
}

type Judgement<O> =
  | { readonly kind: 'accepted'; readonly options: O }
  | { readonly kind: 'refused'; readonly problems: readonly string[] };

function judge<S extends z.ZodObject, O>(
  role: Role<S, O>,
  settings: readonly Setting[],
  problems: readonly string[],
): Judgement<O> {
  const byName = new Map(settings.map((setting) => [setting.name, setting]));
  const texts: Texts = Object.fromEntries(
    settings.flatMap(({ name, text }) => (text === null ? [] : [[name, text]])),
  );
  const blame = (name: string, sentence: string): string => {
    const setting = byName.get(name);
    const text = setting?.text ?? null;
    if (text === null) return `${name} is missing: give ${flagOf(name)} or ${environmentOf(name)}`;
    return `${name} ${sentence}; ${JSON.stringify(text)} (${setting?.source ?? ''}) is refused`;
  };
  const parsed = role.schema.safeParse(texts);
  if (!parsed.success) {
    const refusals = parsed.error.issues.map(({ path, message }) =>
      blame(String(path[0] ?? ''), message),
    );
    return { kind: 'refused', problems: [...problems, ...refusals] };
  }
  const conflicts = role.conflicts(parsed.data).map(({ name, sentence }) => blame(name, sentence));
  if (problems.length + conflicts.length > 0) {
    return { kind: 'refused', problems: [...problems, ...conflicts] };
  }
  return { kind: 'accepted', options: role.build(parsed.data) };
}
