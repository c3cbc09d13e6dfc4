/**
 * Rejections that nobody handles, for as long as a simulation runs: they are a process' last words, not
 * those of the program around it. The machine tells of them once an event's promises have settled.
 */
import { EventEmitter } from 'node:events';
import { runInThisContext } from 'node:vm';
import { assert } from '../common/assert.ts';
import { asError } from '../common/errors.ts';

const NAME = 'unhandledRejection';
/** A test runner shows tests a `process` of its own, which is told of nothing. */
const machine: unknown = runInThisContext('process');

export class LastWords {
  /** Said in nobody's step: the plan of the simulation has failed. */
  error: Error | null = null;
  #stop: () => void = () => undefined;

  /** From now on, and instead of whoever listened. */
  listen(heard: (error: Error) => void): void {
    assert(isEmitter(machine), 'there is no process');
    const others = machine.rawListeners(NAME).filter(isListener);
    const listener = (thrown: unknown): void => heard(asError(thrown));
    machine.removeAllListeners(NAME);
    machine.on(NAME, listener);
    this.#stop = () => {
      machine.off(NAME, listener);
      // Themselves, not closures around them: those would hold each other, and this simulation, for ever.
      for (const other of others) machine.on(NAME, other);
    };
  }

  stopListening(): void {
    this.#stop();
    this.#stop = () => undefined;
  }
}

const isListener = (value: unknown): value is (...args: unknown[]) => void =>
  typeof value === 'function';

/** By its form: the class of another context is another one. */
const isEmitter = (value: unknown): value is EventEmitter =>
  typeof value === 'object' && value !== null && 'rawListeners' in value && 'off' in value;
