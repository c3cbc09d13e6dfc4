/** All mutants, and the one that the environment asks for. */
import { COORDINATOR_MUTANTS } from './coordinator-mutants.ts';
import { ELECTION_MUTANTS } from './election-mutants.ts';
import { MESSAGE_MUTANTS } from './message-mutants.ts';
import { METADATA_MUTANTS } from './metadata-mutants.ts';
import { checkFits, type Mutant } from './mutant.ts';
import { READ_MUTANTS } from './read-mutants.ts';
import { REPLICATION_MUTANTS } from './replication-mutants.ts';
import { SNAPSHOT_MUTANTS } from './snapshot-mutants.ts';
import { VOLUME_MUTANTS } from './volume-mutants.ts';

export const MUTANTS: readonly Mutant[] = [
  ...ELECTION_MUTANTS,
  ...REPLICATION_MUTANTS,
  ...READ_MUTANTS,
  ...SNAPSHOT_MUTANTS,
  ...MESSAGE_MUTANTS,
  ...COORDINATOR_MUTANTS,
  ...METADATA_MUTANTS,
  ...VOLUME_MUTANTS,
];

/** `MINIKV_MUTANT`, checked to fit; null where none is asked for. An unknown id is refused. */
export function chosenMutant(): Mutant | null {
  const id = process.env['MINIKV_MUTANT'] ?? '';
  if (id === '') return null;
  const mutant = MUTANTS.find((one) => one.id === id);
  if (mutant === undefined) throw new Error(`MINIKV_MUTANT=${id}: there is no such mutant`);
  checkFits(mutant);
  return mutant;
}
