/** The gateway: what HTTP asks for, composed of the write path and the read path. */
import { KvError } from '../common/errors.ts';
import type { TxnId } from '../common/ids.ts';
import type { Condition } from '../metadata/commands.ts';
import type {
  ByteRange,
  Found,
  Gateway,
  ListRequest,
  MutationContext,
  MutationResult,
  OpenedValue,
  Page,
  PutRequest,
  ReadContext,
  Redirect,
  TransactionOp,
  TxnAnswer,
} from './gateway.ts';
import type { Metadata } from './metadata-port.ts';
import type { ReadPath } from './read-path.ts';
import type { WritePath } from './write-path.ts';

export interface GatewayComponents {
  readonly writes: WritePath;
  readonly reads: ReadPath;
  readonly metadata: Pick<Metadata, 'isTrusted'>;
}

export class GatewayCore implements Gateway {
  readonly #components: GatewayComponents;

  constructor(components: GatewayComponents) {
    this.#components = components;
  }

  async admitWrite(declaredBytes: number | null, timeoutMs: number): Promise<void> {
    await this.#writes.admit(declaredBytes, timeoutMs);
  }

  async put(request: PutRequest, context: MutationContext): Promise<MutationResult> {
    return this.#writes.put(request, context);
  }

  async delete(
    key: Uint8Array,
    condition: Condition | null,
    context: MutationContext,
  ): Promise<MutationResult> {
    return this.#writes.delete(key, condition, context);
  }

  async transact(ops: readonly TransactionOp[], context: MutationContext): Promise<MutationResult> {
    return this.#writes.transact(ops, context);
  }

  async find(key: Uint8Array, context: ReadContext): Promise<Found> {
    return this.#reads.find(key, context);
  }

  async open(
    found: Found,
    range: ByteRange | null,
    key: Uint8Array,
    context: ReadContext,
  ): Promise<OpenedValue> {
    return this.#reads.open({ found, range, key }, context);
  }

  redirect(found: Found): Redirect | null {
    return this.#reads.redirect(found);
  }

  async list(request: ListRequest, context: ReadContext): Promise<Page> {
    return this.#reads.list(request, context);
  }

  async transaction(txnId: TxnId, timeoutMs: number): Promise<TxnAnswer> {
    return this.#reads.transaction(txnId, timeoutMs);
  }

  get #writes(): WritePath {
    this.#requireTrust();
    return this.#components.writes;
  }

  get #reads(): ReadPath {
    this.#requireTrust();
    return this.#components.reads;
  }

  /** Nothing new rests on a state that may be wrong: neither an acknowledgement nor an answer. */
  #requireTrust(): void {
    if (this.#components.metadata.isTrusted) return;
    throw new KvError(
      'STATE_IN_DOUBT',
      'coordinators have different states and none has a majority; an operator must look',
    );
  }
}
