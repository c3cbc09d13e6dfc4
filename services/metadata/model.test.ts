/**
 * Random histories against what must always hold: counters and references equal a recount, the running
 * digest equals a scan, no listed copy is garbage, and a state that is written down and loaded again at
 * any point goes on exactly like one that was not.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { utf8 } from '../common/bytes.ts';
import { birthOf, copyId, copyOfWrite, diskId, hexOf, logIndex, session } from '../common/ids.ts';
import { blob, copy, hash, MetadataWorld, registerOf, remove } from '../testing/metadata-world.ts';
import { MetadataState, type Question } from './apply.ts';
import type { Command, Condition } from './commands.ts';
import { TABLE } from './keys.ts';
import { MemoryStore } from './memory-store.ts';
import { decodeIndex, decodeRecord } from './record-codec.ts';
import type { GarbageRow } from './records.ts';

const DISKS = 5;
const OPTIONS = { idempotencyRowsMax: 3 };

interface Draw {
  readonly kind: number;
  readonly key: number;
  readonly disks: readonly number[];
  readonly a: number;
  readonly b: number;
}

const draws = fc.array(
  fc.record<Draw>({
    kind: fc.nat({ max: 14 }),
    key: fc.nat({ max: 3 }),
    disks: fc.uniqueArray(fc.integer({ min: 1, max: DISKS }), { minLength: 1, maxLength: 4 }),
    a: fc.nat({ max: 30 }),
    b: fc.nat({ max: 3 }),
  }),
  { minLength: 20, maxLength: 80 },
);

function garbageRows(world: MetadataWorld): GarbageRow[] {
  return world.store.rows().flatMap(([key, value]) => {
    if (key[0] !== TABLE.garbage) return [];
    const disk = diskId(new DataView(key.buffer, key.byteOffset).getUint32(1));
    return [{ disk, queuedAt: decodeIndex(value), copyId: copyId(hexOf(key.subarray(5))) }];
  });
}

/** Turns draws into commands that are mostly sensible in the state at hand. */
class Author {
  readonly #world: MetadataWorld;
  readonly #past: Command[] = [];
  #blobs = 100;

  constructor(world: MetadataWorld) {
    this.#world = world;
  }

  write(draw: Draw): Command {
    const command = this.#compose(draw);
    this.#past.push(command);
    return command;
  }

  #compose(draw: Draw): Command {
    const kinds: readonly ((draw: Draw) => Command)[] = [
      (own) => this.#commit(own),
      (own) => this.#commit(own),
      (own) => this.#commit(own),
      ({ key }) => this.#world.commit([remove(`k${key}`)]),
      (own) => this.#move(own),
      (own) => this.#suspect(own),
      (own) => this.#register(own),
      ({ a, b }) => ({
        kind: 'set-disk',
        disk: diskId(1 + b),
        state: a === 0 ? 'gone' : a % 2 === 0 ? 'draining' : 'active',
        zone: null,
      }),
      (own) => this.#advance(own),
      ({ a }) => ({ kind: 'reclaimed', rows: garbageRows(this.#world).slice(0, a) }),
      () => ({ kind: 'abort', txnId: this.#world.freshTxn() }),
      ({ a, b }) => ({ kind: a % 2 === 0 ? 'pin' : 'unpin', id: `pin${b}` }),
      ({ a, b }) => ({
        kind: 'reconciled',
        disk: diskId(1 + b),
        session: session(a % 2 === 0 ? a : (this.#world.state.disk(diskId(1 + b))?.session ?? 0)),
      }),
      ({ key, a, b }) =>
        this.#world.commit([
          this.#inline(`k${key}`, a),
          ...(b === 0 ? [remove(`k${key + 1}`)] : []),
        ]),
      (own) => this.#past[own.a % Math.max(1, this.#past.length)] ?? this.#commit(own),
    ];
    const compose = kinds[draw.kind % kinds.length] ?? kinds[0];
    if (compose === undefined) throw new Error('no kinds');
    return compose(draw);
  }

  #register({ a, b }: Draw): Command {
    const { state, index } = this.#world;
    const disk = 1 + b;
    const boots = (state.disk(diskId(disk))?.boots ?? 0) + 1 + (a === 0 ? 1 : 0);
    const clean = a % 3 !== 0;
    return registerOf({ disk, volume: `volume-${disk}`, boots, nonce: `n${index}`, clean });
  }

  #advance({ a, b }: Draw): Command {
    const { index } = this.#world;
    const ago = (n: number) => logIndex(Math.max(0, index - n));
    return {
      kind: 'advance',
      fence: ago(a),
      reclaim: ago(a + b),
      forget: ago(2 * a),
      timeMs: 1000 * index,
    };
  }

  #commit({ key, disks, a, b }: Draw): Command {
    this.#blobs += 1;
    const condition: readonly (Condition | undefined)[] = [
      { kind: 'absent' },
      { kind: 'exists' },
      { kind: 'match', blobIds: [blob(this.#blobs - 1)] },
    ];
    const put = this.#world.put({
      key: `k${key}`,
      blob: this.#blobs,
      disks,
      size: a,
      ...(condition[a] === undefined ? {} : { condition: condition[a] }),
      ...(a === 29 ? { session: 1 } : {}),
    });
    const others = b === 3 ? [remove(`k${key + 1}`), this.#second(key, disks)] : [];
    const idempotency =
      a % 4 === 0 ? { principal: 'p', key: `i${b}`, requestHash: hash(a % 8) } : null;
    return this.#world.commit([put, ...others], { need: 1 + (b % 2), want: 3, idempotency });
  }

  #inline(key: string, length: number) {
    this.#blobs += 1;
    return this.#world.inline({ key, blob: this.#blobs, data: 'v'.repeat(length) });
  }

  #second(key: number, disks: readonly number[]) {
    this.#blobs += 1;
    return this.#world.put({ key: `k${key + 2}`, blob: this.#blobs, disks });
  }

  #move({ key, disks, a, b }: Draw): Command {
    const record = this.#world.state.record(utf8(`k${key}`));
    const from = record?.copies[a % 3] ?? null;
    const target = diskId(disks[0] ?? 1);
    this.#blobs += 1;
    const to = {
      disk: target,
      session: session(this.#world.state.disk(target)?.session ?? 0),
      copyId: copy(this.#blobs),
    };
    return {
      kind: 'move',
      txnId: this.#world.freshTxn(),
      key: utf8(`k${key}`),
      blobId: record?.blobId ?? blob(1),
      from: b === 0 ? null : from,
      to: b === 1 ? null : to,
      want: b === 1 ? 2 : 3,
    };
  }

  #suspect({ key, a }: Draw): Command {
    const record = this.#world.state.record(utf8(`k${key}`));
    const found = record?.copies[a % 3];
    return {
      kind: 'suspect',
      key: utf8(`k${key}`),
      blobId: record?.blobId ?? blob(1),
      disk: found?.disk ?? diskId(1),
      copyId: found?.copyId ?? copy(1),
    };
  }
}

function checkInvariants(world: MetadataWorld): void {
  const { counters, refs } = world.recount();
  expect(world.state.counters).toEqual(counters);
  for (const disk of world.state.disks()) expect(disk.refs).toBe(refs.get(disk.disk));
  const garbage = new Set(garbageRows(world).map((row) => `${row.disk} ${row.copyId}`));
  for (const [key, value] of world.store.rows()) {
    if (key[0] !== TABLE.record) continue;
    const { copies } = decodeRecord(value).value;
    expect(new Set(copies.map(({ disk }) => disk)).size).toBe(copies.length);
    for (const { disk, copyId: id } of copies) expect(garbage.has(`${disk} ${id}`)).toBe(false);
  }
  const { fence, forget, reclaim } = world.state.marks;
  expect(forget).toBeLessThanOrEqual(fence);
  expect(Math.max(fence, reclaim)).toBeLessThanOrEqual(world.index);
}

/** The copies that a command speaks of, as their disks would ask about them. */
function copiesOf(command: Command): readonly Question[] {
  if (command.kind === 'move') {
    const { to, txnId, key: owner } = command;
    return to === null ? [] : [{ disk: to.disk, copyId: to.copyId, txnId, owner }];
  }
  if (command.kind !== 'commit') return [];
  return command.ops.flatMap(({ key: owner, body }) =>
    body.kind !== 'put'
      ? []
      : body.copies.map(({ disk }) => ({
          disk,
          copyId: copyOfWrite(body.blobId),
          txnId: command.txnId,
          owner,
        })),
  );
}

function isListed({ state }: MetadataWorld, { disk, copyId: id, owner }: Question): boolean {
  const copies = state.record(owner)?.copies ?? [];
  return copies.some((listed) => listed.disk === disk && listed.copyId === id);
}

/** As a start would, which has taken up `taken` outcomes when the next command comes. */
function loadedFrom(world: { store: MemoryStore; state: MetadataState }, taken: number) {
  world.state.checkpoint();
  const store = MemoryStore.of(world.store.rows());
  const state = MetadataState.load(store, store.loadable(), world.state.digest(), OPTIONS);
  state.takeStoredOutcomes(taken);
  return { store, state };
}

describe('random histories', () => {
  test('keep counters, references, digest and garbage in step with the rows', () => {
    fc.assert(
      fc.property(draws, (history) => {
        const world = new MetadataWorld(OPTIONS);
        world.register(DISKS);
        const author = new Author(world);
        for (const draw of history) {
          world.apply(author.write(draw));
          checkInvariants(world);
        }
        expect(world.scannedDigest()).toBe(world.state.digest());
      }),
      { numRuns: 20 },
    );
  });

  test('R30: go on alike after the state was written down and loaded at any point', () => {
    fc.assert(
      fc.property(draws, fc.integer({ min: 1, max: 10 }), (history, every) => {
        const world = new MetadataWorld(OPTIONS);
        let twin = loadedFrom(world, 0);
        const apply = (command: Command): void => {
          const answered = world.apply(command);
          expect(twin.state.apply(world.index, command)).toEqual(answered);
        };
        for (let n = 1; n <= DISKS; n += 1) {
          apply(registerOf({ volume: `volume-${n}`, nonce: `nonce-${n}` }));
        }
        const author = new Author(world);
        for (const [step, draw] of history.entries()) {
          apply(author.write(draw));
          if (step % every === 0) twin = loadedFrom(twin, step % (every * 2));
          expect(twin.state.digest()).toBe(world.state.digest());
        }
        world.state.checkpoint();
        twin.state.checkpoint();
        expect(twin.store.rows()).toEqual(world.store.rows());
      }),
      { numRuns: 20 },
    );
  });

  test('never give leave to drop a copy and take it back, nor keep one that no record lists', () => {
    fc.assert(
      fc.property(draws, (history) => {
        const world = new MetadataWorld(OPTIONS);
        world.register(DISKS);
        const author = new Author(world);
        const copies = new Map<string, Question>();
        const dropped = new Set<string>();
        const lookAtAll = (): void => {
          for (const [name, question] of copies) {
            const answer = world.state.ask(question);
            if (dropped.has(name)) expect([name, answer]).toEqual([name, 'DROP']);
            if (answer === 'DROP') dropped.add(name);
            expect([name, answer === 'KEEP']).toEqual([name, isListed(world, question)]);
          }
        };
        // Staged before it is proposed, and some proposals come late.
        const late: Command[] = [];
        const apply = (command: Command | undefined): void => {
          if (command === undefined) return;
          lookAtAll();
          world.apply(command);
          lookAtAll();
        };
        for (const draw of history) {
          const command = author.write(draw);
          for (const question of copiesOf(command)) {
            copies.set(`${question.disk} ${question.copyId}`, question);
          }
          if (draw.a % 4 === 1) late.push(command);
          else apply(command);
          if (draw.a % 4 === 3) apply(late.shift());
        }
        for (const command of late) apply(command);
        // Once the marks have passed everything nobody waits any more.
        for (const id of ['pin0', 'pin1', 'pin2', 'pin3']) world.apply({ kind: 'unpin', id });
        world.advance({ fence: world.index, reclaim: world.index });
        lookAtAll();
        for (const question of copies.values()) {
          expect(world.state.ask(question)).not.toBe('LATER');
        }
      }),
      { numRuns: 25 },
    );
  });

  test('never decide a transaction twice, nor one behind the fence', () => {
    fc.assert(
      fc.property(draws, (history) => {
        const world = new MetadataWorld(OPTIONS);
        world.register(DISKS);
        const author = new Author(world);
        const decided = new Map<string, unknown>();
        for (const draw of history) {
          const { fence, forget } = world.state.marks;
          const applied = world.apply(author.write(draw));
          if (applied.kind !== 'txn') continue;
          const { txnId, outcome } = applied;
          const birth = birthOf(txnId);
          const before = decided.get(txnId);
          if (birth < forget) expect(outcome.kind).toBe('forgotten');
          else if (before !== undefined) expect(outcome).toEqual(before);
          else if (birth < fence) expect(outcome.kind).toBe('expired');
          else decided.set(txnId, outcome);
        }
      }),
      { numRuns: 60 },
    );
  });
});
