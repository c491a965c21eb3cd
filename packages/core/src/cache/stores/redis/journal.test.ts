import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../../../testing/index.js';
import type { Invalidation } from '../../store.js';
import { Journal } from './journal.js';

const hour = 3_600_000;

const name = fc.constantFrom('a', 'b', 'c', 'd');
const names = fc.uniqueArray(name, { minLength: 1, maxLength: 3 });
const invalidation: fc.Arbitrary<Invalidation> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constantFrom('delete', 'expire'), keys: names }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('tags'), tags: names }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('clear') }) },
);
const step = fc.oneof(
  { weight: 6, arbitrary: invalidation },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: hour }) },
  { weight: 1, arbitrary: fc.constant('replay' as const) },
);

/** What is to be forgotten, in words: it covers whatever else says the same. */
function wordsOf(invalidations: readonly Invalidation[]): string[] {
  return invalidations.flatMap((each) => {
    if (each.type === 'clear') return ['clear'];
    return each.type === 'tags' ? each.tags.map((tag) => `tag ${tag}`) : each.keys.map((key) => `${each.type} ${key}`);
  });
}

describe('the journal', () => {
  it('tells again whatever was told within the last hour, as much of it at least, and nothing from before the last two', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const clock = createFakeClock();
        const journal = new Journal(clock);
        const toldAt = new Map<string, number>();
        for (const each of [...steps, 'replay' as const]) {
          if (typeof each === 'number') await clock.advance(each);
          else if (each !== 'replay') {
            journal.add(each);
            for (const word of wordsOf([each])) toldAt.set(word, clock.now());
          } else {
            const again = wordsOf(journal.replay());
            const covers = (word: string): boolean =>
              again.includes('clear') || again.includes(word) || again.includes(word.replace('expire', 'delete'));
            for (const [word, at] of toldAt) if (clock.now() - at < hour) expect(covers(word)).toBe(true);
            for (const word of again) {
              const sources = [word, word.replace('delete', 'expire')];
              const at = Math.max(...sources.map((source) => toldAt.get(source) ?? Number.NEGATIVE_INFINITY));
              expect(clock.now() - at).toBeLessThan(2 * hour);
            }
            for (const word of again) toldAt.set(word, clock.now());
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it('tells the last of each name, in calls of 1,000, and a key that was deleted is not brought back by its expiry', () => {
    const journal = new Journal(createFakeClock());
    const keys = Array.from({ length: 1_500 }, (_, index) => `key ${index}`);
    journal.add({ type: 'expire', keys });
    journal.add({ type: 'delete', keys: ['key 3'] });
    journal.add({ type: 'expire', keys: ['key 3'] });
    journal.add({ type: 'tags', tags: ['t'] });
    const replay = journal.replay();
    expect(replay.map((each) => [each.type, wordsOf([each]).length])).toEqual([
      ['delete', 1],
      ['expire', 1_000],
      ['expire', 499],
      ['tags', 1],
    ]);
    expect(journal.replay()).toEqual(replay);
  });

  it('holds a bounded number of names, of which a clear takes the place for an hour', async () => {
    const clock = createFakeClock();
    const journal = new Journal(clock);
    for (let index = 0; index <= 10_000; index++) journal.add({ type: 'delete', keys: [`key ${index}`] });
    expect(journal.replay()).toEqual([{ type: 'clear' }]);
    await clock.advance(hour);
    journal.add({ type: 'delete', keys: ['a'] });
    expect(journal.replay()).toEqual([{ type: 'clear' }]);
    await clock.advance(2 * hour);
    journal.add({ type: 'delete', keys: ['a'] });
    expect(journal.replay()).toEqual([{ type: 'delete', keys: ['a'] }]);
    await clock.advance(2 * hour);
    expect(journal.replay()).toEqual([]);
  });
});
