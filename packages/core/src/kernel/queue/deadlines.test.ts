import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createFakeClock } from '../../testing/index.js';
import { Deadlines, type Due, roundingMs } from '../index.js';

const due = (endsAt: number): Due => ({ endsAt, places: [-1, -1, -1] });

it('tells of each at its instant, fractions included, on one timer', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ endsAt: fc.double({ min: 0, max: 50, noNaN: true }), leavesAt: fc.option(fc.nat(50)) }), {
        maxLength: 20,
      }),
      async (plan) => {
        const clock = createFakeClock();
        const told = new Map<Due, number>();
        const deadlines = new Deadlines<Due>(clock, (item) => void told.set(item, clock.now()));
        const items = plan.map(({ endsAt }) => due(endsAt));
        for (const item of items) deadlines.add(item);
        expect(clock.pending).toBe(items.length > 0 ? 1 : 0);
        for (let now = 0; now <= 51; now++) {
          for (const [index, { leavesAt }] of plan.entries())
            if (leavesAt === now) deadlines.remove(items[index] as Due);
          await clock.advance(1);
        }
        for (const [index, { endsAt, leavesAt }] of plan.entries()) {
          const at = told.get(items[index] as Due);
          if (leavesAt !== null && Math.abs(leavesAt - endsAt) <= roundingMs) continue; // whichever comes first
          const hasLeft = leavesAt !== null && leavesAt < endsAt;
          expect(at).toEqual(hasLeft ? undefined : expect.closeTo(endsAt, 5));
        }
        expect(clock.pending).toBe(0);
      },
    ),
    { numRuns: 60 },
  ));

it('has no timer where nothing is due any more', () => {
  const clock = createFakeClock();
  const deadlines = new Deadlines<Due>(clock, () => {});
  const [late, later] = [due(10), due(20)];
  deadlines.add(later);
  deadlines.add(late);
  expect(clock.pending).toBe(1);
  deadlines.remove(late);
  deadlines.remove(later);
  deadlines.remove(later);
  expect(clock.pending).toBe(0);
});
