/** The gateway: what HTTP asks for, composed of the write path and the read path. */
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
import type { ReadPath } from './read-path.ts';
import type { WritePath } from './write-path.ts';

export class GatewayCore implements Gateway {
  readonly #writes: WritePath;
  readonly #reads: ReadPath;

  constructor(components: { readonly writes: WritePath; readonly reads: ReadPath }) {
    this.#writes = components.writes;
    this.#reads = components.reads;
  }

  admitWrite(declaredBytes: number | null): void {
    this.#writes.admit(declaredBytes);
  }

  put(request: PutRequest, context: MutationContext): Promise<MutationResult> {
    return this.#writes.put(request, context);
  }

  delete(
    key: Uint8Array,
    condition: Condition | null,
    context: MutationContext,
  ): Promise<MutationResult> {
    return this.#writes.delete(key, condition, context);
  }

  transact(ops: readonly TransactionOp[], context: MutationContext): Promise<MutationResult> {
    return this.#writes.transact(ops, context);
  }

  find(key: Uint8Array, context: ReadContext): Promise<Found> {
    return this.#reads.find(key, context);
  }

  open(
    found: Found,
    range: ByteRange | null,
    key: Uint8Array,
    context: ReadContext,
  ): Promise<OpenedValue> {
    return this.#reads.open({ found, range, key }, context);
  }

  redirect(found: Found): Redirect {
    return this.#reads.redirect(found);
  }

  list(request: ListRequest, context: ReadContext): Promise<Page> {
    return this.#reads.list(request, context);
  }

  transaction(txnId: TxnId, timeoutMs: number): Promise<TxnAnswer> {
    return this.#reads.transaction(txnId, timeoutMs);
  }
}
