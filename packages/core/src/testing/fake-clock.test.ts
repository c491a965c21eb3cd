import { describe, expect, it } from 'vitest';
import { createFakeClock } from './index.js';

describe('createFakeClock', () => {
  it('stands still until it is told to move', async () => {
    const clock = createFakeClock();
    const before = [clock.now(), clock.wall()];
    await clock.settle();
    expect([clock.now(), clock.wall()]).toEqual(before);
    await clock.advance(250);
    expect(clock.now()).toBe(250);
    expect(clock.wall() - (before[1] ?? 0)).toBe(250);
  });

  it('runs timers in the order of their instants, those of one instant in the order of their making', async () => {
    const clock = createFakeClock();
    const log: string[] = [];
    clock.schedule(20, () => log.push(`late at ${clock.now()}`));
    clock.schedule(10, () => log.push(`first at ${clock.now()}`));
    clock.schedule(10, () => log.push(`second at ${clock.now()}`));
    await clock.advance(30);
    expect(log).toEqual(['first at 10', 'second at 10', 'late at 20']);
    expect(clock.now()).toBe(30);
  });

  it('runs a timer that is due exactly at the end of the advance, and none that is due after it', async () => {
    const clock = createFakeClock();
    const log: number[] = [];
    clock.schedule(10, () => log.push(10));
    clock.schedule(10.5, () => log.push(10.5));
    await clock.advance(10);
    expect(log).toEqual([10]);
    expect(clock.pending).toBe(1);
  });

  it('runs what a timer sets off, promise jobs and timers alike, before it moves on', async () => {
    const clock = createFakeClock();
    const log: string[] = [];
    clock.schedule(5, async () => {
      await Promise.resolve();
      await Promise.resolve();
      log.push(`job at ${clock.now()}`);
      clock.schedule(5, () => log.push(`inner at ${clock.now()}`));
    });
    clock.schedule(7, () => log.push(`other at ${clock.now()}`));
    await clock.advance(10);
    expect(log).toEqual(['job at 5', 'other at 7', 'inner at 10']);
  });

  it('forgets a cancelled timer, and minds neither a second cancel nor one that comes too late', async () => {
    const clock = createFakeClock();
    const log: string[] = [];
    const cancelled = clock.schedule(5, () => log.push('cancelled'));
    const kept = clock.schedule(5, () => log.push('kept'));
    cancelled.cancel();
    cancelled.cancel();
    expect(clock.pending).toBe(1);
    await clock.advance(5);
    kept.cancel();
    expect(log).toEqual(['kept']);
    expect(clock.pending).toBe(0);
  });

  it('steps the wall clock alone', () => {
    const clock = createFakeClock(1_000);
    clock.stepWall(-400);
    expect([clock.now(), clock.wall()]).toEqual([0, 600]);
  });
});
