/**
 * The two kinds of process and their settings as data: a schema by name, and the four steps that
 * need more than one setting at a time.
 */
import type { z } from 'zod';
import { present } from '../common/assert.ts';
import type { Conflict } from './common-fields.ts';
import { type FieldFacts, fieldFacts, type SettingClass } from './fields.ts';

/** Text of each setting by name, before its schema reads it. */
export type Texts = Readonly<Record<string, string>>;

export interface Role<S extends z.ZodObject, O> {
  /** The program, for help and refusals. */
  readonly command: string;
  readonly schema: S;
  readonly examples: readonly string[];
  /** Defaults that follow from other settings; used for names that nothing else gave. */
  readonly derive: (texts: Texts) => Texts;
  readonly conflicts: (values: z.output<S>) => readonly Conflict[];
  readonly build: (values: z.output<S>) => O;
  /** The part of the options that may change while the process runs. */
  readonly reloadable: (options: O) => Partial<O>;
}

export interface NamedField {
  readonly name: string;
  readonly facts: FieldFacts;
}

/** The fields of a schema in the order of help. */
export const fieldsOf = (schema: z.ZodObject): readonly NamedField[] =>
  Object.entries(schema.shape).map(([name, type]) => ({
    name,
    facts: present(fieldFacts.get(type), `facts of setting ${name}`),
  }));

/** One setting in force. */
export interface Setting {
  readonly name: string;
  /** null: not given and without a default. */
  readonly text: string | null;
  /** `flag --id`, `environment NODE_ID`, `file PATH` or `default`. */
  readonly source: string;
  readonly class: SettingClass;
}

export interface Loaded<O> {
  readonly options: O;
  /** Where each setting came from, by name. */
  readonly sources: Readonly<Record<string, string>>;
  readonly settings: readonly Setting[];
}

export type Environment = Readonly<Record<string, string | undefined>>;
/** The whole text of a file; follows symbolic links, rejects when there is no such file. */
export type ReadFile = (path: string) => Promise<string>;

/** Where settings come from. */
export interface Inputs {
  /** Arguments after the program, with or without the word `serve`. */
  readonly argv: readonly string[];
  readonly env: Environment;
  readonly readFile: ReadFile;
}
