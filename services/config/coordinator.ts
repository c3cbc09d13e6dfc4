/** A coordinator's settings: read once by its main, watched for the few that may change. */
import type { Clock } from '../common/clock.ts';
import { type Command, readCommand } from './command.ts';
import { coordinatorRole } from './coordinator-fields.ts';
import { load } from './load.ts';
import type { CoordinatorOptions } from './options.ts';
import { SettingsWatch, type WatchOptions } from './reload.ts';
import type { Environment, Inputs, Loaded, ReadFile } from './role.ts';

/** @throws KvError `INVALID_ARGUMENT` that names every refused setting, a line each. */
export const loadCoordinatorOptions = (
  argv: readonly string[],
  env: Environment,
  readFile: ReadFile,
): Promise<Loaded<CoordinatorOptions>> => load(coordinatorRole, { argv, env, readFile });

/** As `loadCoordinatorOptions`, and answers `--help` and `--print-config` with text to print. */
export const readCoordinatorCommand = (inputs: Inputs): Promise<Command<CoordinatorOptions>> =>
  readCommand(coordinatorRole, inputs);

/** Follows the settings file of a coordinator once `start` is called. */
export const watchCoordinatorSettings = (
  parts: { readonly clock: Clock; readonly inputs: Inputs },
  options: WatchOptions<CoordinatorOptions>,
): SettingsWatch<CoordinatorOptions> =>
  new SettingsWatch(
    {
      clock: parts.clock,
      load: () => load(coordinatorRole, parts.inputs),
      reloadable: coordinatorRole.reloadable,
    },
    options,
  );
