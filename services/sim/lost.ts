/** What a client is told whose server went away under its request: nothing of the outcome. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}
