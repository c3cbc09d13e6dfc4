/** What a client asks next: keys, values and conditions, drawn from the plan and from what it has seen. */
import { utf8 } from '../common/bytes.ts';
import type { TransactionOp } from '../coordinator/gateway.ts';
import type { Condition } from '../metadata/commands.ts';
import type { ClientSession } from './client-session.ts';
import type { Access } from './history.ts';
import type { Value } from './values.ts';

/** One key of a mutation: for the gateway and for the history. */
export interface Planned {
  readonly key: string;
  readonly op: 'put' | 'delete' | 'check';
  readonly value: Value | null;
  readonly condition: Condition | null;
  readonly access: Access;
}

const GROUP_KEYS = 3;

export class Planner {
  readonly #session: ClientSession;

  constructor(session: ClientSession) {
    this.#session = session;
  }

  key(): string {
    const { draw, plan } = this.#session.parts;
    const isHot = plan.coldKeys === 0 || draw.chance(plan.heat);
    return isHot ? `hot/${draw.below(plan.hotKeys)}` : `cold/${draw.below(plan.coldKeys)}`;
  }

  put(key: string, condition: Condition | null): Planned {
    const { draw, plan, recorder } = this.#session.parts;
    const largest = draw.chance(0.1) ? plan.valueBytesMax : Math.min(2000, plan.valueBytesMax);
    const value = recorder.nextValue(key, draw.chance(0.02) ? 0 : 8 + draw.below(largest));
    const access: Access = {
      key,
      kind: 'write',
      value: recorder.nameOf(value.digest),
      condition: this.#named(key, condition),
    };
    return { key, op: 'put', value, condition, access };
  }

  delete(key: string, condition: Condition | null): Planned {
    const access: Access = {
      key,
      kind: 'write',
      value: null,
      condition: this.#named(key, condition),
    };
    return { key, op: 'delete', value: null, condition, access };
  }

  transaction(): readonly Planned[] {
    const { draw, counters } = this.#session.parts;
    const group = this.#keyGroup();
    const keys = draw.shuffled(group).slice(0, draw.between(2, 3));
    counters.sometimes(keys.length > 1, 'transaction of several keys');
    return keys.map((key): Planned => {
      const condition = draw.chance(0.3) ? this.condition(key) : null;
      const wish = draw.below(10);
      if (wish < 6) return this.put(key, condition);
      if (wish < 8) return this.delete(key, condition);
      const asked = condition ?? ({ kind: 'exists' } as const);
      const access: Access = {
        key,
        kind: 'check',
        value: null,
        condition: this.#named(key, asked),
      };
      return { key, op: 'check', value: null, condition: asked, access };
    });
  }

  condition(key: string): Condition {
    const { draw } = this.#session.parts;
    const sight = this.#session.sights.get(key);
    if (sight === undefined || draw.chance(0.3)) {
      return { kind: draw.chance(0.6) ? 'absent' : 'exists' };
    }
    return { kind: draw.chance(0.8) ? 'match' : 'none-match', blobIds: [sight.blobId] };
  }

  /** Keys that transactions join: few, since an order of all keys together is dear to find. */
  #keyGroup(): readonly string[] {
    const { draw, plan } = this.#session.parts;
    if (plan.coldKeys < GROUP_KEYS || draw.chance(plan.heat)) {
      return Array.from({ length: plan.hotKeys }, (_, n) => `hot/${n}`);
    }
    const first = GROUP_KEYS * draw.below(Math.floor(plan.coldKeys / GROUP_KEYS));
    return Array.from({ length: GROUP_KEYS }, (_, n) => `cold/${first + n}`);
  }

  /** The same condition with values named as in the history. */
  #named(key: string, condition: Condition | null): Access['condition'] {
    if (condition === null) return null;
    if (!('blobIds' in condition)) return condition;
    const sight = this.#session.sights.get(key);
    return { kind: condition.kind, values: sight === undefined ? [] : [sight.name] };
  }
}

export function toOp({ key, op, value, condition }: Planned): TransactionOp {
  const asked = { key: utf8(key), condition };
  if (op === 'put' && value !== null) {
    return { ...asked, body: { kind: 'put', data: value.bytes, headers: [] } };
  }
  return { ...asked, body: op === 'check' ? { kind: 'check' } : { kind: 'delete' } };
}
