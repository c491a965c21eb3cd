import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deskOn, SimulatedLimits, windowOf } from '../../../test/limiter-stores.js';
import { createFakeClock } from '../../testing/index.js';

interface Use {
  readonly process: number;
  readonly amount: number;
  readonly afterMs: number;
  /** The part of it that is not used after all, and how long that takes to know. */
  readonly unused: number;
  readonly settledMs: number;
}

const uses: fc.Arbitrary<Use[]> = fc.array(
  fc.record({
    process: fc.nat(2),
    amount: fc.constantFrom(0.5, 1, 1, 1, 2, 5),
    afterMs: fc.constantFrom(0, 0, 0, 0, 1, 30, 100, 400, 1_700),
    unused: fc.constantFrom(0, 0, 0.5, 1),
    settledMs: fc.constantFrom(0, 20, 3_000),
  }),
  { minLength: 1, maxLength: 150, size: 'max' },
);

describe('processes that take in advance', () => {
  it('exceed the limit in no window by more than one prefetch each, beside what was reserved when it began and came back', async () => {
    const [limit, windowMs, prefetch] = [60, 2_000, 0.25];
    let leased = 0;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 3 }), uses, async (count, list) => {
        const clock = createFakeClock();
        const limits = new SimulatedLimits(clock);
        const processes = Array.from({ length: count }, () =>
          deskOn(limits, { dimensions: [windowOf(limit, windowMs)], prefetch }),
        );
        const log: { readonly at: number; readonly until: number; readonly net: number; readonly back: number }[] = [];
        for (const { process, amount, afterMs, unused, settledMs } of list) {
          const { desk } = processes[process % count] ?? {};
          const answer = await desk?.take('k', [amount], { leaseTtlMs: 60_000 });
          const charge = answer?.charge;
          if (charge) {
            const back = amount * unused;
            log.push({ at: clock.now(), until: clock.now() + settledMs, net: amount - back, back });
            clock.schedule(settledMs, () => desk?.settle(charge, [-back]));
            if (answer.decidedBy === 'lease') leased++;
          }
          if (afterMs > 0) await clock.advance(afterMs);
        }
        for (const { at: end } of log) {
          const begin = end - windowMs;
          let [inside, reserved] = [0, 0];
          for (const { at, until, net, back } of log) {
            if (at > begin && at <= end) inside += net;
            if (at <= begin && until > begin) reserved += back;
          }
          expect(inside).toBeLessThanOrEqual(limit + count * prefetch * limit + reserved + 1e-6);
        }
        await clock.advance(5_000);
        expect(limits.used('test', 'k')).toEqual([0]);
        await Promise.all(processes.map(({ desk }) => desk.close()));
        await clock.advance(10_000);
        expect(clock.pending).toBe(0);
      }),
      { numRuns: 200, seed: 11 },
    );
    expect(leased).toBeGreaterThan(2_000);
  });
});
