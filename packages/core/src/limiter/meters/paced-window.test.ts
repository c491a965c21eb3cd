import { describe, expect, it } from 'vitest';
import { WindowOracle } from '../../../test/limiter-oracle.js';
import { PacedWindow } from './paced-window.js';

describe('PacedWindow', () => {
  it('lets the burst come at once and the rest evenly, until the window is full', () => {
    const meter = new PacedWindow(10, 1_000, 5);
    meter.charge(5, 0);
    expect([meter.waitMs(1, 10, 0), meter.waitMs(5, 10, 0), meter.left(10, 0)]).toEqual([100, 500, 0]);
    meter.charge(5, 500);
    expect(meter.waitMs(1, 10, 600), 'the pace would let it pass').toBe(400);
    expect([meter.used(600), meter.resetMs(600)]).toEqual([10, 900]);
  });

  it('tells what is left of the burst or of the limit, whichever is less', () => {
    const meter = new PacedWindow(10, 1_000, 5);
    expect([meter.left(10, 0), meter.shareLeft(10, 0)]).toEqual([5, 1]);
    meter.charge(4, 0);
    expect([meter.left(10, 0), meter.shareLeft(10, 0)]).toEqual([1, 0.2]);
    meter.charge(4, 400);
    expect([meter.left(10, 800), meter.shareLeft(10, 800)]).toEqual([2, 0.2]);
    expect(meter.left(4, 800)).toBe(0);
  });

  it('keeps the limit in every window though what was refunded late may go at once', () => {
    const meter = new PacedWindow(640, 64_000, 10);
    const oracle = new WindowOracle(64_000);
    for (let now = 0; now < 200_000; now += Math.max(1, meter.waitMs(1, 640, now))) {
      if (meter.waitMs(1, 640, now) > 0) continue;
      meter.charge(1, now);
      oracle.charge(1, now);
      for (const { at, amount } of oracle.charges.slice(0, 600)) {
        if (amount === 0 || now < at + 40_000) continue;
        meter.refund(1, at, now);
        oracle.refund(1, at);
      }
    }
    expect(oracle.most(64_000)).toBeLessThanOrEqual(640);
  });

  it('lets the next one go as much sooner as was refunded', () => {
    const meter = new PacedWindow(10, 1_000, 5);
    meter.charge(5, 0);
    meter.refund(2, 0, 0);
    expect([meter.waitMs(2, 10, 0), meter.waitMs(3, 10, 0)]).toEqual([0, 100]);
  });

  it('gives nothing back of what counts no more, neither to the window nor to the pace', () => {
    const meter = new PacedWindow(10, 1_000, 5);
    meter.charge(5, 0);
    meter.charge(5, 1_000);
    meter.refund(5, 0, 1_000);
    expect([meter.used(1_000), meter.waitMs(1, 10, 1_000)]).toEqual([5, 100]);
  });

  it('owes what it was charged beyond its limit for as long as the pace takes to make up for it', () => {
    const meter = new PacedWindow(10, 1_000, 5);
    meter.charge(30, 0);
    expect([meter.waitMs(1, 10, 0), meter.resetMs(0), meter.used(1_000)]).toEqual([2_600, 3_000, 20]);
  });

  it('paces more slowly under a lower limit', () => {
    const meter = new PacedWindow(10, 1_000, 1);
    meter.charge(1, 0, 5);
    expect([meter.waitMs(1, 10, 0), meter.waitMs(1, 5, 0)]).toEqual([100, 200]);
    expect([meter.resetMs(0, 1), meter.waitMs(1, 0, 0)]).toEqual([1_000, Number.POSITIVE_INFINITY]);
  });
});
