import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fingerprint, GhostQueue } from './ghost-queue.js';

describe('GhostQueue', () => {
  it('knows the last keys of any window as a list of them does, however it grows', () => {
    const key = fc.integer({ min: 1, max: 400 });
    const command = fc.oneof(
      { weight: 3, arbitrary: fc.record({ add: key, window: fc.integer({ min: 1, max: 60 }) }) },
      { weight: 1, arbitrary: fc.record({ add: key, window: fc.integer({ min: 61, max: 300 }) }) },
      { weight: 3, arbitrary: fc.record({ take: key, window: fc.integer({ min: 0, max: 60 }) }) },
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 500, size: 'max' }), (commands) => {
        const ghost = new GhostQueue();
        const list: number[] = [];
        for (const each of commands) {
          if ('add' in each) {
            ghost.add(spread(each.add), each.window);
            list.push(each.add);
          } else {
            const at = list.lastIndexOf(each.take);
            const isThere = at >= 0 && at >= list.length - each.window;
            expect(ghost.take(spread(each.take), each.window)).toBe(isThere);
            if (isThere) list[at] = 0;
          }
        }
      }),
    );
  });

  it('forgets what has left the window, and does not run in circles once its ring has wrapped', () => {
    const ghost = new GhostQueue();
    for (let number = 1; number <= 10_000; number++) ghost.add(number, 100);
    expect(ghost.take(9_901, 100)).toBe(true);
    expect(ghost.take(9_900, 100)).toBe(false);
    expect(ghost.take(9_901, 100), 'taken').toBe(false);
    for (let number = 1; number <= 9_000; number++) expect(ghost.take(number, 100)).toBe(false);
  });

  it('is never wrong about an empty ring', () => {
    expect(new GhostQueue().take(1, 10)).toBe(false);
    expect(new GhostQueue().take(0xffff_ffff, 0)).toBe(false);
  });
});

describe('fingerprint', () => {
  it('tells keys that differ in little apart, and the same key of two tenants', () => {
    const keys = Array.from({ length: 100_000 }, (_, index) => `question:${index}`);
    const seeds = [0, fingerprint('a', 0), fingerprint('b', 0)];
    const distinct = new Set(keys.flatMap((key) => seeds.map((seed) => fingerprint(key, seed))));
    expect(300_000 - distinct.size).toBeLessThan(50); // by chance alone 10 of so many 32-bit numbers meet
  });

  it('spreads keys evenly over the chains, and is never 0, which marks what was taken', () => {
    const chains = new Uint32Array(1_024);
    for (let index = 0; index < 102_400; index++) {
      const print = fingerprint(`user/${index}/profile`, 0);
      expect(print).toBeGreaterThan(0);
      chains[print & 1_023] = (chains[print & 1_023] ?? 0) + 1;
    }
    expect(Math.max(...chains)).toBeLessThan(160);
    expect(Math.min(...chains)).toBeGreaterThan(50);
  });
});

/** Numbers whose low bits meet often. */
function spread(number: number): number {
  return (number % 7) * 1_024 + number * 65_536;
}
