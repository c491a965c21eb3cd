import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { type AttemptBudgetOptions, createAttemptBudget, sharedBudget } from './index.js';

describe('a budget of further attempts', () => {
  it('has a floor, and a fifth for each first attempt', () => {
    const budget = createAttemptBudget({ clock: createFakeClock() });
    for (let first = 0; first < 100; first++) budget.deposit();
    let taken = 0;
    while (budget.withdraw('retry')) taken++;
    expect(taken).toBe(30);
    expect(budget.stats()).toEqual({ firsts: 100, extras: 30, balance: 0, refused: 1 });
  });

  it('forgets what was earned and what was taken after its window', async () => {
    const clock = createFakeClock();
    const budget = createAttemptBudget({ clock, perSecond: 0 });
    for (let first = 0; first < 10; first++) budget.deposit();
    expect(budget.withdraw('retry')).toBe(true);
    await clock.advance(10_000);
    expect(budget.stats()).toMatchObject({ firsts: 0, extras: 0, balance: 0 });
    expect(budget.withdraw('hedge')).toBe(false);
  });

  it('lets fallbacks and splits go where nothing is left, since they repeat nothing', () => {
    const budget = createAttemptBudget({ clock: createFakeClock(), ratio: 1, perSecond: 0 });
    budget.deposit();
    const kinds = ['fallback', 'fallback', 'split', 'hedge', 'retry'] as const;
    expect(kinds.map((kind) => budget.withdraw(kind))).toEqual([true, true, true, false, false]);
    expect(budget.stats()).toMatchObject({ extras: 1, balance: 0 });
  });

  it('refuses what it is told to', () => {
    const budget = createAttemptBudget({ clock: createFakeClock(), perSecond: 0, refuses: ['fallback'] });
    expect([budget.withdraw('fallback'), budget.withdraw('retry')]).toEqual([false, true]);
  });

  it('never gives more in any window than a list of all that happened allows', async () => {
    const step = fc.record({
      waitMs: fc.nat(1_500),
      firsts: fc.nat(5),
      extras: fc.nat(5),
    });
    const someRatio = fc.double({ min: 0.1, max: 1, noNaN: true });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), someRatio, async (steps, ratio) => {
        const clock = createFakeClock();
        const budget = createAttemptBudget({ clock, ratio, perSecond: 1 });
        const firsts: number[] = [];
        const extras: number[] = [];
        for (const { waitMs, firsts: begun, extras: wanted } of steps) {
          await clock.advance(waitMs);
          for (let each = 0; each < begun; each++) {
            budget.deposit();
            firsts.push(clock.now());
          }
          for (let each = 0; each < wanted; each++) if (budget.withdraw('retry')) extras.push(clock.now());
          // A slice of the window is forgotten as a whole, so what it covers is between nine and ten tenths.
          const slice = Math.floor(clock.now() / 1_000);
          const inWindow = (instants: readonly number[]) =>
            instants.filter((at) => Math.floor(at / 1_000) > slice - 10);
          expect(inWindow(extras).length).toBeLessThanOrEqual(ratio * inWindow(firsts).length + 10 + 1e-9);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('is one for each clock, unless there is another', () => {
    const clock = createFakeClock();
    expect(sharedBudget(clock)).toBe(sharedBudget(clock));
    expect(sharedBudget(clock)).not.toBe(sharedBudget(createFakeClock()));
    expect(sharedBudget(systemClock)).toBe(sharedBudget(systemClock));
  });

  it.each<[object, string]>([
    [{ ratio: -1 }, 'ratio'],
    [{ perSecond: Number.NaN }, 'perSecond'],
    [{ window: 0 }, 'window'],
    [{ refuses: ['all'] }, 'refuses'],
    [{ ratio: 0, perSecond: 0 }, 'perSecond'],
    [{ ratio: 0, perSecond: 0.05 }, 'perSecond'],
    [{ percent: 20 }, 'percent'],
  ])('refuses %j, naming %s', (options, name) => {
    expect(() => createAttemptBudget(options as AttemptBudgetOptions)).toThrow(`'${name}'`);
  });
});
