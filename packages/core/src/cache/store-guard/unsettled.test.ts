import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Invalidation, StoredEntry } from '../store.js';
import { type Ticket, Unsettled } from './unsettled.js';

const names = ['a', 'b', 'c', 'd'];

function entryWith(...tags: string[]): StoredEntry {
  return { bytes: new Uint8Array(), storedAt: 0, freshUntil: 1, keptUntil: 1, computeMs: 0, tags };
}

function manyKeys(count: number, prefix = 'key'): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`);
}

const deletionOf = (...keys: string[]): Invalidation => ({ type: 'delete', keys });

describe('what the store has not confirmed', () => {
  it('covers a deleted key, an expired one, an entry with the tag, and everything once it is cleared', () => {
    const unsettled = new Unsettled();
    expect([unsettled.isEmpty, unsettled.coversKey('a')]).toEqual([true, false]);
    unsettled.add(deletionOf('a'));
    unsettled.add({ type: 'expire', keys: ['b'] });
    unsettled.add({ type: 'tags', tags: ['t'] });
    expect(names.map((key) => unsettled.coversKey(key))).toEqual([true, true, false, false]);
    expect(names.map((key) => unsettled.forgets(key))).toEqual([true, false, false, false]);
    expect(unsettled.covers('c', entryWith('s', 't'))).toBe(true);
    expect(unsettled.covers('t', entryWith('a'))).toBe(false); // a key is no tag
    const clear = unsettled.add({ type: 'clear' });
    const covered = [
      unsettled.coversAll,
      unsettled.coversKey('d'),
      unsettled.covers('d', entryWith()),
      unsettled.forgets('d'),
    ];
    expect(covered).toEqual([true, true, true, true]);
    unsettled.settle(clear);
    expect([unsettled.isEmpty, unsettled.coversKey('a')]).toEqual([true, false]);
  });

  it('holds what was invalidated again while the first time was confirmed', () => {
    const unsettled = new Unsettled();
    const first = unsettled.add(deletionOf('a', 'b'));
    unsettled.add(deletionOf('a'));
    unsettled.settle(first);
    expect([unsettled.coversKey('a'), unsettled.coversKey('b')]).toEqual([true, false]);
    const clear = unsettled.add({ type: 'clear' });
    unsettled.add({ type: 'clear' });
    unsettled.settle(clear);
    expect(unsettled.coversAll).toBe(true);
  });

  it('deletes again a key that is expired while its deletion is not confirmed, and settles neither by the other', () => {
    const unsettled = new Unsettled();
    const deletion = unsettled.add(deletionOf('a'));
    const expiry = unsettled.add({ type: 'expire', keys: ['a', 'b'] });
    expect(expiry.invalidation).toEqual(deletionOf('a', 'b'));
    unsettled.settle(deletion);
    expect(unsettled.coversKey('a')).toBe(true);
    expect(unsettled.gather().map(({ invalidation }) => invalidation)).toEqual([deletionOf('a', 'b')]);
  });

  it('says all it holds in one call of each kind, a thousand names at a time', () => {
    const unsettled = new Unsettled();
    for (const key of manyKeys(2_500)) unsettled.add(deletionOf(key));
    unsettled.add({ type: 'expire', keys: ['key7'] });
    unsettled.add({ type: 'expire', keys: ['x', 'y'] });
    unsettled.add({ type: 'expire', keys: ['x', 'z'] });
    unsettled.add({ type: 'tags', tags: ['t', 'u'] });
    const said = unsettled.gather().map(({ invalidation }) => invalidation);
    expect(said.map(({ type }) => type)).toEqual(['delete', 'delete', 'delete', 'expire', 'tags']);
    const deleted = said.flatMap((each) => (each.type === 'delete' ? each.keys : []));
    expect(deleted.toSorted()).toEqual(manyKeys(2_500).toSorted());
    expect(said.slice(3)).toEqual([
      { type: 'expire', keys: ['x', 'y', 'z'] },
      { type: 'tags', tags: ['t', 'u'] },
    ]);
  });

  it('becomes one clear past 10,000 names, which stands for all of them until it is confirmed itself', () => {
    const unsettled = new Unsettled();
    for (const key of manyKeys(9_000)) unsettled.add(deletionOf(key));
    unsettled.add({ type: 'tags', tags: manyKeys(999, 'tag') });
    unsettled.add(deletionOf('the last'));
    expect(unsettled.coversAll).toBe(false);
    const last = unsettled.add(deletionOf('one more'));
    expect([unsettled.coversAll, last.invalidation]).toEqual([true, { type: 'clear' }]);
    unsettled.settle({ invalidation: deletionOf('one more') });
    unsettled.add(deletionOf('after it'));
    const [said, ...more] = unsettled.gather();
    expect([said, more]).toEqual([{ invalidation: { type: 'clear' } }, []]);
    unsettled.settle(last);
    expect(unsettled.coversKey('key1')).toBe(true);
    if (said) unsettled.settle(said);
    expect(unsettled.isEmpty).toBe(true);
  });

  it('covers exactly what was invalidated later than the store has confirmed, whatever comes in which order', () => {
    const someNames = fc.uniqueArray(fc.constantFrom(...names), { minLength: 1 });
    const step = fc.oneof(
      fc.record({ do: fc.constant('delete' as const), keys: someNames }),
      fc.record({ do: fc.constant('expire' as const), keys: someNames }),
      fc.record({ do: fc.constant('tags' as const), tags: someNames }),
      { arbitrary: fc.record({ do: fc.constant('gather' as const) }), weight: 2 },
      fc.record({ do: fc.constant('clear' as const) }),
      { arbitrary: fc.record({ do: fc.constant('settle' as const), which: fc.nat(100) }), weight: 4 },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const unsettled = new Unsettled();
        const model = new Ledger();
        const tickets: { readonly ticket: Ticket; readonly at: number }[] = [];
        for (const [at, each] of steps.entries()) {
          if (each.do === 'settle') {
            const some = tickets[each.which % Math.max(1, tickets.length)];
            if (!some) continue;
            unsettled.settle(some.ticket);
            model.confirm(some.ticket.invalidation, some.at);
          } else {
            const said = each.do === 'gather' ? unsettled.gather() : [unsettled.add(invalidationOf(each))];
            for (const ticket of said) {
              model.add(ticket.invalidation, at);
              tickets.push({ ticket, at });
            }
          }
          for (const name of names) {
            expect(unsettled.coversKey(name)).toBe(model.covers(`key ${name}`));
            expect(unsettled.covers('none', entryWith(name))).toBe(model.covers(`tag ${name}`));
          }
          expect(unsettled.isEmpty).toBe(model.isEmpty);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

function invalidationOf(
  step: { do: 'delete' | 'expire'; keys: string[] } | { do: 'tags'; tags: string[] } | { do: 'clear' },
): Invalidation {
  if (step.do === 'clear') return { type: 'clear' };
  return step.do === 'tags' ? { type: 'tags', tags: step.tags } : { type: step.do, keys: step.keys };
}

/** For each name and for everything: when it was last said, and up to when what was said is confirmed. */
class Ledger {
  readonly #said = new Map<string, number>();
  readonly #confirmed = new Map<string, number>();
  readonly #everything = 'everything';

  add(invalidation: Invalidation, at: number): void {
    for (const name of this.#namesOf(invalidation)) this.#said.set(name, at);
  }

  confirm(invalidation: Invalidation, at: number): void {
    const all = [...names.flatMap((name) => [`key ${name}`, `tag ${name}`]), this.#everything];
    for (const name of invalidation.type === 'clear' ? all : this.#namesOf(invalidation))
      this.#confirmed.set(name, Math.max(at, this.#confirmed.get(name) ?? -1));
  }

  covers(name: string): boolean {
    return this.#isOpen(name) || this.#isOpen(this.#everything);
  }

  get isEmpty(): boolean {
    return ![...this.#said.keys()].some((name) => this.#isOpen(name));
  }

  #isOpen(name: string): boolean {
    return (this.#said.get(name) ?? -1) > (this.#confirmed.get(name) ?? -1);
  }

  #namesOf(invalidation: Invalidation): string[] {
    if (invalidation.type === 'clear') return [this.#everything];
    if (invalidation.type === 'tags') return invalidation.tags.map((tag) => `tag ${tag}`);
    return invalidation.keys.map((key) => `key ${key}`);
  }
}
