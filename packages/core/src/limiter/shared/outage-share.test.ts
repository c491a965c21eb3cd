import { describe, expect, it } from 'vitest';
import { windowOf } from '../../../test/limiter-stores.js';
import type { Amounts, Dimension } from '../dimensions.js';
import { OutageShare } from './outage-share.js';
import { OwnRecord } from './own-record.js';

const start = Date.UTC(2026, 0, 1);
const calendar: Dimension = {
  kind: 'calendar',
  name: 'day',
  unit: 'requests',
  limit: 100,
  per: 'day',
  timeZone: 'UTC',
};

function setUp(dimensions: readonly Dimension[] = [windowOf(100)], peers = 4) {
  const own = new OwnRecord(dimensions);
  const share = new OutageShare(dimensions);
  const at = (now: number) => ({ now, wall: start + now });
  const hear = (now: number, ...remaining: number[]): void => {
    const zeros = dimensions.map(() => 0);
    const verdict = {
      ok: true,
      binding: 0,
      waitMs: 0,
      remaining,
      resetMs: zeros,
      waitsMs: zeros,
      generation: 'g',
      at: now,
    };
    own.hear(verdict, undefined, at(now));
  };
  const take = (now: number, amounts: Amounts, limits?: Amounts) =>
    share.take({ amounts, limits, peers, lease: undefined, penalise: false }, own, at(now));
  /** How much passes, one unit at a time. */
  const drain = (now: number): number => {
    let taken = 0;
    while (
      taken < 1_000 &&
      take(
        now,
        dimensions.map(() => 1),
      ).ok
    )
      taken++;
    return taken;
  };
  return { own, share, at, hear, take, drain };
}

describe('the share of an outage', () => {
  it('is the limit divided by the peers, in any window', () => {
    const { drain, take } = setUp();
    expect([drain(0), drain(30_000), drain(59_999), drain(60_000)]).toEqual([25, 0, 0, 25]);
    expect(take(90_000, [1])).toMatchObject({ ok: false, waitMs: 30_000, remaining: [0] });
    expect(take(120_000, [1])).toMatchObject({ ok: true, remaining: [24] });
  });

  it('begins with what was known to be used, until that counts no more', () => {
    const { hear, drain } = setUp();
    hear(10_000, 40);
    expect([drain(20_000), drain(69_999), drain(70_000), drain(80_000)]).toEqual([10, 0, 15, 10]);
  });

  it('is no fresh one when the store was heard meanwhile', () => {
    const { hear, drain } = setUp();
    expect(drain(0)).toBe(25);
    hear(1_000, 100);
    expect(drain(2_000)).toBe(0);
    hear(30_000, 0); // what others have taken, and what was told
    expect([drain(61_000), drain(90_000)]).toEqual([0, 25]);
    hear(91_000, 80); // what was told is among it
    expect(drain(91_000)).toBe(0);
  });

  it('lets one request pass that is larger, and then none until as much time has passed as it was worth', () => {
    const { take } = setUp();
    expect(take(0, [50]).ok).toBe(true);
    expect(take(60_000, [1])).toMatchObject({ ok: false, binding: 0, waitMs: 60_000, waitsMs: [60_000] });
    expect(take(60_000, [0]).ok).toBe(true);
    expect(take(120_000, [1]).ok).toBe(true);
    expect(take(120_000, [50])).toMatchObject({ ok: false, waitMs: 60_000 });
  });

  it('gives back what was not used of it, the rest included', () => {
    const { share, take, at } = setUp();
    take(0, [50]);
    share.correct([-40], 4, at(0), at(1_000));
    expect(take(1_000, [15]).ok).toBe(true);
    expect(take(1_000, [1])).toMatchObject({ ok: false, waitMs: 59_000 });
    share.correct([5], 4, at(1_000), at(2_000));
    expect(take(60_000, [5]).ok).toBe(true);
    expect(take(60_000, [1]).ok).toBe(false);
  });

  it('is of what feedback has left of the limit', () => {
    const { take } = setUp();
    expect(take(0, [10], [40]).ok).toBe(true);
    expect(take(0, [1], [40])).toMatchObject({ ok: false, remaining: [0] });
  });

  it('divides bursts as well: paced requests come as seldom as there are peers', () => {
    const { take } = setUp([windowOf(60, 60_000, 1)]);
    expect(take(0, [1]).ok).toBe(true);
    expect(take(0, [1])).toMatchObject({ ok: false, waitMs: 4_000 });
  });

  it('begins with a paced limit as full as its burst was, not as its window', () => {
    const { hear, take } = setUp([windowOf(60, 60_000, 1)]);
    hear(0, 0);
    expect(take(2_000, [1]).ok).toBe(true);
  });

  it('is of the rest of the period where the calendar counts', () => {
    const { hear, drain } = setUp([calendar]);
    hear(0, 60);
    const day = 86_400_000;
    expect([drain(1_000), drain(day - 1), drain(day)]).toEqual([15, 0, 25]);
  });

  it('does not make what the store has said less, since that may have been told already', () => {
    const { share, at, hear, drain } = setUp([calendar]);
    expect(drain(0)).toBe(25);
    hear(1_000, 0);
    expect(drain(1_500)).toBe(0);
    share.correct([-25], 4, at(0), at(2_000));
    expect(drain(3_000)).toBe(0);
  });

  it('has a place for each process, and for no more than its share', () => {
    const places: Dimension = { kind: 'concurrency', name: 'c', unit: 'concurrency', limit: 9 };
    const { share, own, at } = setUp([places]);
    const take = (id: string, peers: number) =>
      share.take(
        { amounts: [1], limits: undefined, peers, lease: { id, expiresAt: 1_000 }, penalise: false },
        own,
        at(0),
      ).ok;
    share.hold('stored', 500, at(0));
    expect([take('a', 4), take('b', 4)]).toEqual([true, false]);
    share.release('stored');
    expect([take('b', 4), take('c', 4), take('c', 3), take('d', 20)]).toEqual([true, false, true, false]);
    for (const id of ['a', 'b', 'c']) share.release(id);
    expect([take('d', 20), take('e', 20)]).toEqual([true, false]);
  });
});
