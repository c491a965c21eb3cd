import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../kernel/index.js';
import { createSelector, noBackend, type SelectorEvent, type SelectorOptions } from './index.js';

type Request = { readonly vision?: boolean; readonly short?: boolean };

const select = (options: Partial<SelectorOptions<Request>> & Pick<SelectorOptions<Request>, 'backends'>) =>
  createSelector<Request>({ random: seededRandom(7), ...options });

describe('rank', () => {
  it('gives the first place by weight, and the next ones by weight among the rest', () => {
    const draws = 20_000;
    const selector = select({
      backends: [
        { name: 'a', weight: 6 },
        { name: 'b', weight: 3 },
        { name: 'c', weight: 1 },
      ],
    });
    const counts = new Map<string, number>();
    for (let draw = 0; draw < draws; draw++) {
      const order = selector.rank({}).backends.join('');
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    const expected = {
      abc: 0.6 * 0.75,
      acb: 0.6 * 0.25,
      bac: (0.3 * 6) / 7,
      bca: 0.3 / 7,
      cab: 0.1 * (6 / 9),
      cba: 0.1 / 3,
    };
    for (const [order, share] of Object.entries(expected)) {
      const deviation = Math.sqrt(draws * share * (1 - share));
      expect(Math.abs((counts.get(order) ?? 0) - draws * share)).toBeLessThan(4 * deviation);
    }
  });

  it('counts a backend without a weight as 1', () => {
    const selector = select({ backends: [{ name: 'a' }, { name: 'b', weight: 3 }] });
    const first = Array.from({ length: 8_000 }, () => selector.rank({}).backends[0]);
    expect(Math.abs(first.filter((name) => name === 'a').length - 2_000)).toBeLessThan(4 * Math.sqrt(8_000 * 0.1875));
  });

  it('puts weight 0 behind all others, whatever chance says', () =>
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constant(0), fc.double({ min: 1e-9, max: 1e9, noNaN: true })), {
          minLength: 1,
          maxLength: 8,
        }),
        fc.oneof(
          fc.constant(0),
          fc.constant(1 - 2 ** -53),
          fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        ),
        (weights, chance) => {
          const backends = weights.map((weight, index) => ({ name: `${index}`, weight }));
          const { backends: order } = select({ backends, random: () => chance }).rank({});
          expect([...order].sort()).toEqual(backends.map(({ name }) => name).sort());
          const zeros = order.map((name) => weights[Number(name)] === 0);
          expect(zeros).toEqual([...zeros].sort());
        },
      ),
      { numRuns: 500 },
    ));

  it('chooses the same under the same seed', () => {
    const backends = ['a', 'b', 'c', 'd'].map((name) => ({ name }));
    const ranks = (seed: number) => {
      const selector = select({ backends, random: seededRandom(seed) });
      return Array.from({ length: 50 }, () => selector.rank({}).backends.join());
    };
    expect(ranks(1)).toEqual(ranks(1));
    expect(ranks(1)).not.toEqual(ranks(2));
  });

  it('leaves out what cannot take the request, and ranks nothing when nothing can', () => {
    const selector = select({
      backends: [
        { name: 'text', when: ({ vision }) => !vision },
        { name: 'eyes', when: ({ vision }) => vision === true },
      ],
    });
    expect(selector.rank({ vision: true }).backends).toEqual(['eyes']);
    expect(selector.rank({}).backends).toEqual(['text']);
    expect(select({ backends: [{ name: 'never', when: () => false }] }).rank({}).backends).toEqual([]);
  });
});

describe('rules', () => {
  const backends = [{ name: 'large', weight: 100 }, { name: 'small', weight: 0 }, { name: 'local' }];

  it('put one backend in front, the first rule that applies, and say so', () => {
    const events: SelectorEvent[] = [];
    const selector = select({
      backends,
      onEvent: (event) => events.push(event),
      rules: [
        { name: 'short questions', when: ({ short }) => short === true, use: 'small' },
        { name: 'everything', when: () => true, use: 'local' },
      ],
    });
    const short = selector.rank({ short: true });
    expect(short.backends[0]).toBe('small');
    expect([...short.backends].sort()).toEqual(['large', 'local', 'small']);
    expect(short.because).toBe('short questions');
    expect(selector.rank({}).backends[0]).toBe('local');
    expect(events.map(({ because }) => because)).toEqual(['short questions', 'everything']);
  });

  it('pass over a backend that cannot take the request', () => {
    const selector = select({
      backends: [{ name: 'eyes', when: ({ vision }) => vision === true }, { name: 'text' }],
      rules: [{ name: 'always eyes', when: () => true, use: 'eyes' }],
    });
    expect(selector.rank({})).toEqual({ backends: ['text'], because: 'weights' });
  });
});

describe('options', () => {
  const two = [{ name: 'a' }, { name: 'b' }];
  it.each([
    [{}, /'backends' must be/],
    [{ backends: [] }, /'backends' must be a list of 1 or more/],
    [{ backends: [{ name: 'a', weight: -1 }] }, /'weight' must be a number from 0 up/],
    [{ backends: [{ name: 'a', weight: Number.NaN }] }, /'weight'/],
    [{ backends: [{ name: '' }] }, /'name'/],
    [{ backends: [{ name: 'a' }, { name: 'a' }] }, /different names, got 'a'/],
    [{ backends: two, rules: [{ name: 'r', when: () => true, use: 'c' }] }, /one of a, b, got 'c'/],
    [{ backends: two, rules: [{ name: 'r', use: 'a' }] }, /'when'/],
    [{ backends: two, weights: [1, 2] }, /no option 'weights'/],
  ])('refuses %j', (options, message) => {
    expect(() => createSelector(options as unknown as SelectorOptions<Request>)).toThrow(
      expect.objectContaining({ code: 'WP_BAD_OPTION', message: expect.stringMatching(message) }),
    );
  });

  it('has an error for whoever finds the ranking empty', () => {
    expect(noBackend('chat', ['a', 'b'])).toMatchObject({ code: 'WP_NO_BACKEND', details: { backends: ['a', 'b'] } });
  });
});
