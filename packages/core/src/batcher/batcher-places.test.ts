import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Random, seededRandom } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { createBatcher } from './index.js';

const bad = (): Error => Object.assign(new Error('bad input'), { status: 400 });
const busy = (): Error => Object.assign(new Error('busy'), { status: 503 });

describe('the places for calls', () => {
  interface Plan {
    readonly item: number;
    readonly atMs: number;
    readonly leavesAfterMs: number | null;
  }
  const plans = fc.array(
    fc.record({ item: fc.nat(40), atMs: fc.nat(300), leavesAfterMs: fc.option(fc.nat(300), { freq: 3 }) }),
    { minLength: 1, maxLength: 60 },
  );

  it('are never exceeded during splits, repeats and leavings, and all are given back', () =>
    fc.assert(
      fc.asyncProperty(
        plans,
        fc.integer({ min: 1, max: 4 }),
        fc.option(fc.integer({ min: 20, max: 80 })),
        fc.integer(),
        async (drawn, maxConcurrent, timeout, chance) => {
          const clock = createFakeClock();
          const random: Random = seededRandom(chance);
          let underWay = 0;
          let most = 0;
          const batcher = createBatcher<number, string>(
            async (items, { signal }) => {
              most = Math.max(most, ++underWay);
              await new Promise<void>((resolve) => {
                clock.schedule(random() * 100, resolve);
                signal.addEventListener('abort', () => resolve());
              });
              underWay--;
              signal.throwIfAborted();
              if (random() < 0.2) throw busy();
              if (items.some((item) => item % 10 === 0)) throw bad();
              return items.map((item) => `${item}!`);
            },
            { clock, random, maxItems: 6, maxConcurrent, ...(timeout === null ? {} : { timeout }) },
          );
          const listening: AbortSignal[] = [];
          const results: Promise<void>[] = [];
          const begin = ({ item, leavesAfterMs }: Plan): void => {
            const leaving = new AbortController();
            listening.push(leaving.signal);
            if (leavesAfterMs !== null) clock.schedule(leavesAfterMs, () => leaving.abort(new Error('left')));
            results.push(
              batcher.load(item, { signal: leaving.signal }).then(
                (result) => expect([result, item % 10 > 0]).toEqual([`${item}!`, true]),
                (error) => expect(error.message).toMatch(item % 10 ? /busy|left|timeout/ : /busy|left|timeout|bad/),
              ),
            );
          };
          for (const plan of drawn) clock.schedule(plan.atMs, () => begin(plan));
          await clock.advance(60_000);
          expect(results).toHaveLength(drawn.length);
          await Promise.all(results);
          expect(most).toBeLessThanOrEqual(maxConcurrent);
          expect(underWay).toBe(0);
          expect(batcher.stats()).toMatchObject({ waiting: 0, underWay: 0 });
          expect(clock.pending).toBe(0);
          for (const signal of listening) expect(getEventListeners(signal, 'abort')).toHaveLength(0);
        },
      ),
      { numRuns: 40 },
    ));
});
