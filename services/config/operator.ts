/** The operator's settings, read once by its main. */
import { type Command, readCommand } from './command.ts';
import { operatorRole } from './operator-fields.ts';
import type { OperatorOptions } from './options.ts';
import type { Inputs } from './role.ts';

/** @throws KvError `INVALID_ARGUMENT` that names every refused setting, a line each. */
export const readOperatorCommand = (inputs: Inputs): Promise<Command<OperatorOptions>> =>
  readCommand(operatorRole, inputs);
