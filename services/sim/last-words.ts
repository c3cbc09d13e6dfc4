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
    const others = machine.rawListeners(NAME);
    const listener = (thrown: unknown): void => heard(asError(thrown));
    machine.removeAllListeners(NAME);
    machine.on(NAME, listener);
    this.#stop = () => {
      machine.off(NAME, listener);
      for (const other of others)
        machine.on(NAME, (...args) => void Reflect.apply(other, machine, args));
    };
  }

  stopListening(): void {
    this.#stop();
    this.#stop = () => undefined;
  }
}

/** By its form: the class of another context is another one. */
const isEmitter = (value: unknown): value is EventEmitter =>
  typeof value === 'object' && value !== null && 'rawListeners' in value && 'off' in value;
