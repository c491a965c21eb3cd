import { describe, expect, it } from 'vitest';
import { seededRandom } from '../kernel/index.js';
import { take } from './bucket.js';

const dayMs = 86_400_000;

describe('take', () => {
  it('never refuses after the exact wait that it named, whatever the rounding of the sums', () => {
    const random = seededRandom(11);
    const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
    let refused = 0;
    for (let sample = 0; sample < 50_000; sample++) {
      const burst = 1 + Math.floor(random() * 10_000);
      const rate = { unitMs: pick([1_000, 60_000, 3_600_000, dayMs, 30 * dayMs]) / burst, burst };
      const now = random() * pick([1, 1_000, 1e9]);
      const tat = now + burst * rate.unitMs * random();
      const weight = pick([1, burst * random(), burst]);
      const first = take(rate, tat, weight, now);
      if (first.ok) continue;
      refused++;
      expect(take(rate, tat, weight, now + first.waitMs).ok, `sample ${sample}`).toBe(true);
      expect(take(rate, tat, weight, now + first.waitMs * 0.99 - 1e-5).ok, `sample ${sample}`).toBe(false);
    }
    expect(refused).toBeGreaterThan(10_000);
  });

  it('leaves the instant alone when it refuses, and never counts beyond a full bucket', () => {
    expect(take({ unitMs: 10, burst: 5 }, 0, 6, 1_000)).toEqual({ ok: false, waitMs: 10, remaining: 5, resetMs: 0 });
    expect(take({ unitMs: 10, burst: 5 }, -1e9, 5, 1_000)).toEqual({ ok: true, tat: 1_050, remaining: 0, resetMs: 50 });
  });
});
