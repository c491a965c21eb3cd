import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Holds } from './holds.js';

const id = fc.integer({ min: 1, max: 8 }).map(String);
const ms = fc.integer({ min: 0, max: 20 });
const command = fc.oneof(
  fc.record({ do: fc.constant('add' as const), id, ms }),
  fc.record({ do: fc.constant('release' as const), id, ms }),
  fc.record({ do: fc.constant('extend' as const), id, ms }),
  fc.record({ do: fc.constant('pause' as const), id, ms }),
);

describe('Holds', () => {
  it('counts, waits and resets as a list of them does', () => {
    fc.assert(
      fc.property(
        fc.array(command, { maxLength: 100, size: 'max' }),
        fc.integer({ min: 1, max: 4 }),
        (commands, limit) => {
          const holds = new Holds();
          const list = new Map<string, number>();
          let now = 0;
          for (const each of commands) {
            if (each.do === 'pause') now += each.ms;
            holds.count(now);
            for (const [held, expiresAt] of list) if (expiresAt <= now) list.delete(held);
            if (each.do === 'add') {
              holds.add(each.id, now + each.ms + 1);
              list.set(each.id, now + each.ms + 1);
            } else if (each.do === 'release') {
              expect(holds.release(each.id)).toBe(list.delete(each.id));
            } else if (each.do === 'extend') {
              expect(holds.extend(each.id, now + each.ms + 1, now)).toBe(list.has(each.id));
              if (list.has(each.id)) list.set(each.id, now + each.ms + 1);
            }
            const instants = [...list.values()].sort((a, b) => a - b);
            expect(holds.resetMs(now)).toBe((instants.at(-1) ?? now) - now);
            expect(holds.waitMs(limit, now)).toBe(list.size < limit ? 0 : (instants[list.size - limit] ?? 0) - now);
            expect(holds.count(now)).toBe(list.size);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('lets one at a time through under a limit below 1, and nobody under none', () => {
    const holds = new Holds();
    expect(holds.waitMs(0.2, 0)).toBe(0);
    holds.add('a', 50);
    expect(holds.waitMs(0.2, 10)).toBe(40);
    expect(holds.waitMs(0, 10)).toBe(Number.POSITIVE_INFINITY);
  });

  it('does not extend what has expired, though nobody has looked since', () => {
    const holds = new Holds();
    holds.add('a', 50);
    expect(holds.extend('a', 200, 50)).toBe(false);
    expect(holds.extend('b', 200, 50)).toBe(false);
    expect(holds.count(50)).toBe(0);
  });
});
