import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../kernel/index.js';
import { Estimates } from './estimates.js';

function teach(estimates: Estimates, label: string, count: number, tokens: (call: number) => number, max?: number) {
  for (let call = 0; call < count; call++) estimates.learn(label, tokens(call), { max });
  return estimates;
}

describe('Estimates', () => {
  it('takes the declared maximum, or the ceiling, until fifty calls have completed', () => {
    const estimates = teach(new Estimates(), 'chat', 50, () => 10, 400);
    expect([estimates.expected('chat', { max: 400 }), estimates.expected('chat')]).toEqual([400, 1_024]);
    expect(new Estimates({ ceiling: 300 }).expected('chat')).toBe(300);
  });

  it('comes to trust what it learns by and by, since short calls complete first', () => {
    const [declared, free] = [new Estimates(), new Estimates({ ceiling: 1_010 })];
    const seen = [150, 99, 1].map((count) => {
      teach(declared, 'chat', count, () => 10, 410);
      teach(free, 'chat', count, () => 10);
      return [declared.expected('chat', { max: 410 }), free.expected('chat')];
    });
    expect(seen).toEqual([
      [210, 510],
      [12, 15],
      [10, 10],
    ]);
  });

  it('expects what nine calls in ten do not exceed', () => {
    const random = seededRandom(7);
    const estimates = teach(new Estimates(), 'chat', 1_000, () => Math.floor(random() * 1_000));
    expect(estimates.expected('chat')).toBeGreaterThan(870);
    expect(estimates.expected('chat')).toBeLessThan(930);
  });

  it('scales with the declared maximum', () => {
    const estimates = teach(new Estimates(), 'chat', 250, () => 100, 1_000);
    expect(estimates.expected('chat', { max: 200 })).toBe(20);
    expect(estimates.expected('chat', { max: 15 })).toBe(2);
  });

  it('learns what is declared and what is not apart from each other, and each label by itself', () => {
    const estimates = teach(new Estimates(), 'a', 250, () => 100, 1_000);
    teach(estimates, 'a', 250, () => 7);
    expect([estimates.expected('a', { max: 1_000 }), estimates.expected('a'), estimates.expected('b')]).toEqual([
      100, 7, 1_024,
    ]);
  });

  it('unlearns a behaviour that has changed', () => {
    const estimates = teach(new Estimates(), 'chat', 2_000, () => 900, 1_000);
    expect(teach(estimates, 'chat', 500, () => 50, 1_000).expected('chat', { max: 1_000 })).toBe(50);
  });

  it('never expects more than the declared maximum, nor anything but whole tokens from 0 up', () => {
    const odd = fc.oneof(fc.double(), fc.integer({ min: -5, max: 5_000 }), fc.constant(0));
    const max = fc.option(odd, { nil: undefined });
    const call = fc.record({ actual: odd, max });
    fc.assert(
      fc.property(
        fc.array(call, { maxLength: 600, size: 'max' }),
        fc.option(fc.nat(5_000), { nil: undefined }),
        (calls, asked) => {
          const estimates = new Estimates();
          for (const each of calls) estimates.learn('chat', each.actual, { max: each.max });
          const expected = estimates.expected('chat', { max: asked });
          expect(Number.isInteger(expected) && expected >= 0).toBe(true);
          if (asked !== undefined) expect(expected).toBeLessThanOrEqual(asked);
        },
      ),
    );
  });

  it('is not thrown off by absurd numbers', () => {
    const estimates = new Estimates();
    const absurd = (call: number) => (call % 3 === 0 ? 10 : 1e308 / call);
    teach(teach(estimates, 'chat', 300, absurd, 1e-300), 'chat', 300, absurd);
    expect(estimates.expected('chat', { max: 100 })).toBe(100);
    expect(estimates.expected('chat')).toBe(Number.MAX_SAFE_INTEGER);
  });

  it('forgets the label that has learned nothing for the longest time', () => {
    const estimates = new Estimates({ maxLabels: 3 });
    for (const label of ['a', 'b', 'c', 'a', 'd']) teach(estimates, label, 250, () => 5);
    expect(estimates.size).toBe(3);
    expect(['a', 'b', 'c', 'd'].map((label) => estimates.expected(label))).toEqual([5, 1_024, 5, 5]);
  });
});
