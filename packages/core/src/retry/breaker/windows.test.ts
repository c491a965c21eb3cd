import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CountWindow } from './count-window.js';
import { bucketCount, TimeWindow } from './time-window.js';
import type { OutcomeWindow } from './window.js';

interface Outcome {
  readonly isFailure: boolean;
  readonly isSlow: boolean;
  readonly afterMs: number;
}

const outcomes = fc.array(
  fc.record({
    isFailure: fc.boolean(),
    isSlow: fc.boolean(),
    afterMs: fc.constantFrom(0, 0, 0, 1, 3, 10, 99, 100, 101),
  }),
  { maxLength: 300, size: 'max' },
);

/** Adds one after the other, and compares each time with what a list of all says; saved and restored now and then. */
function follow(
  all: readonly Outcome[],
  make: () => OutcomeWindow,
  inside: (list: readonly (Outcome & { at: number })[], now: number) => readonly Outcome[],
): void {
  let window = make();
  let now = -50;
  const list: (Outcome & { at: number })[] = [];
  for (const [index, each] of all.entries()) {
    now += each.afterMs;
    window.add(each.isFailure, each.isSlow, now);
    list.push({ ...each, at: now });
    if (index % 7 === 6) {
      const saved = JSON.parse(JSON.stringify(window.save(now)));
      window = make();
      window.restore(saved, 0, now);
    }
    const expected = inside(list, now);
    expect([window.calls, window.failures, window.slow]).toEqual([
      expected.length,
      expected.filter(({ isFailure }) => isFailure).length,
      expected.filter(({ isSlow }) => isSlow).length,
    ]);
  }
}

describe('the window of a breaker', () => {
  it.each([1, 31, 32, 33, 100])('holds the last %i calls', (size) =>
    fc.assert(
      fc.property(outcomes, (all) => {
        follow(
          all,
          () => new CountWindow(size),
          (list) => list.slice(-size),
        );
      }),
      { numRuns: 30 },
    ),
  );

  it.each([100, 7, 12.5])('holds the calls of the last %d ms, in tenths', (lengthMs) =>
    fc.assert(
      fc.property(outcomes, (all) => {
        const bucketOf = (ms: number): number => Math.floor(ms / (lengthMs / bucketCount));
        follow(
          all,
          () => new TimeWindow(lengthMs),
          (list, now) => list.filter(({ at }) => bucketOf(at) > bucketOf(now) - bucketCount),
        );
      }),
      { numRuns: 30 },
    ),
  );

  it('takes what it holds of a longer one, the newest', () => {
    const longer = new CountWindow(9);
    for (const isFailure of [true, true, true, false, true]) longer.add(isFailure, false);
    const shorter = new CountWindow(3);
    shorter.restore(longer.save());
    expect(shorter.save()).toEqual({ outcomes: '101' });
  });

  it('does not mind a clock that has gone back', () => {
    const window = new TimeWindow(100);
    window.add(true, false, 1_000);
    window.add(true, false, 1);
    expect(window.calls).toBe(2);
  });
});
