import { expect, it } from 'vitest';
import type { WindowDimension } from '../../dimensions.js';
import { Shape } from './shape.js';

const window: WindowDimension = {
  kind: 'window',
  name: 'window',
  unit: 'requests',
  limit: 100,
  windowMs: 1_000,
  burst: undefined,
};
const digestOf = (...dimensions: readonly WindowDimension[]): string => new Shape(dimensions).digest;

it('is another one for whatever is counted in another way, and the same for other limits', () => {
  const paced = { ...window, burst: 5 };
  const others = [
    [window],
    [window, window],
    [paced],
    [window, paced],
    [paced, window],
    [{ ...window, windowMs: 2_000 }],
    [{ ...window, name: 'other' }],
    [{ ...window, unit: 'tokens' }],
    [{ ...paced, burst: 6 }],
    [{ ...paced, limit: 5 }], // a burst that limits nothing: no pace is kept
  ];
  expect(new Set(others.map((dimensions) => digestOf(...dimensions))).size).toBe(others.length);
  expect(digestOf({ ...window, limit: 7 })).toBe(digestOf(window));
  expect(digestOf({ ...paced, limit: 7 })).toBe(digestOf(paced));
});
