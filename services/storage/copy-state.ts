/**
 * What a copy is and what a request does to it, as two tables without I/O: the engine acts by them, and
 * the protocol model explores them. The state of a copy is the maximum of its records, in whatever
 * order they are met; nothing leads out of DROPPED.
 */

/** No record of it. */
export const UNKNOWN = -1;
/** Chunks without an end. */
export const OPEN = 0;
export const STAGED = 1;
export const COMMITTED = 2;
export const DROPPED = 3;

/** The state of a copy of which records of both states are known. */
export const joined = (a: number, b: number): number => (a > b ? a : b);

export type CopyRequest = 'end' | 'finalize' | 'drop';

export interface Response {
  /**
   * `vote`: it is staged, or was. `begin`: there is nothing yet; a value that comes whole is staged
   * now, the end of chunks that are not here is refused. `done`: acknowledged. `not-found`: refused.
   */
  readonly answer: 'begin' | 'vote' | 'done' | 'not-found';
  /** The state of the record that is to be appended before the answer; null: none. */
  readonly appends: number | null;
}

/** What is answered to a request for a copy in this state, and what has to be written before. */
export const responseTo = (state: number, request: CopyRequest): Response =>
  RESPONSES[request][state + 1] ?? IMPOSSIBLE;

const respond = (answer: Response['answer'], appends: number | null = null): Response => ({
  answer,
  appends,
});

const IMPOSSIBLE = respond('not-found');

/** In the order unknown, open, staged, committed, dropped. */
const RESPONSES: Readonly<Record<CopyRequest, readonly Response[]>> = {
  end: [
    respond('begin', STAGED),
    respond('vote', STAGED),
    respond('vote'),
    respond('vote'),
    respond('not-found'),
  ],
  finalize: [
    respond('not-found'),
    respond('not-found'),
    respond('done', COMMITTED),
    respond('done'),
    respond('not-found'),
  ],
  // What is unknown needs no record: whoever asked wants it away.
  drop: [
    respond('done'),
    respond('done', DROPPED),
    respond('done', DROPPED),
    respond('done', DROPPED),
    respond('done'),
  ],
};
