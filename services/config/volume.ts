/** A volume's settings: read once by its main, watched for the few that may change. */
import type { Clock } from '../common/clock.ts';
import { type Command, readCommand } from './command.ts';
import { load } from './load.ts';
import type { VolumeOptions } from './options.ts';
import { SettingsWatch, type WatchOptions } from './reload.ts';
import type { Environment, Inputs, Loaded, ReadFile } from './role.ts';
import { volumeRole } from './volume-fields.ts';

/** @throws KvError `INVALID_ARGUMENT` that names every refused setting, a line each. */
export const loadVolumeOptions = (
  argv: readonly string[],
  env: Environment,
  readFile: ReadFile,
): Promise<Loaded<VolumeOptions>> => load(volumeRole, { argv, env, readFile });

/** As `loadVolumeOptions`, and answers `--help` and `--print-config` with text to print. */
export const readVolumeCommand = (inputs: Inputs): Promise<Command<VolumeOptions>> =>
  readCommand(volumeRole, inputs);

/** Follows the settings file of a volume once `start` is called. */
export const watchVolumeSettings = (
  parts: { readonly clock: Clock; readonly inputs: Inputs },
  options: WatchOptions<VolumeOptions>,
): SettingsWatch<VolumeOptions> =>
  new SettingsWatch(
    {
      clock: parts.clock,
      load: () => load(volumeRole, parts.inputs),
      reloadable: volumeRole.reloadable,
    },
    options,
  );
