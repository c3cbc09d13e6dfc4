/** What a process was asked to do: print something (a newline follows) and exit 0, or serve. */
import type { z } from 'zod';
import { VERSION } from '../common/version.ts';
import { load } from './load.ts';
import { helpText, printSettings } from './print.ts';
import { fieldsOf, type Inputs, type Loaded, type Role } from './role.ts';
import { readArguments } from './sources.ts';

export type Command<O> =
  | { readonly kind: 'print'; readonly text: string }
  | { readonly kind: 'serve'; readonly loaded: Loaded<O> };

/** @throws KvError `INVALID_ARGUMENT` that names every refused setting, a line each. */
export async function readCommand<S extends z.ZodObject, O>(
  role: Role<S, O>,
  inputs: Inputs,
): Promise<Command<O>> {
  const asked = readArguments(inputs.argv, fieldsOf(role.schema));
  if (asked.help) return { kind: 'print', text: helpText(role).trimEnd() };
  if (asked.version) return { kind: 'print', text: VERSION };
  const loaded = await load(role, inputs);
  if (!asked.printConfig) return { kind: 'serve', loaded };
  return { kind: 'print', text: printSettings(loaded.settings, asked.output).trimEnd() };
}
