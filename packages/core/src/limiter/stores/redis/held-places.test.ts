import { expect, it } from 'vitest';
import { HeldPlaces } from './held-places.js';
import { Shape } from './shape.js';

const shape = new Shape([{ kind: 'concurrency', name: 'places', unit: 'concurrency', limit: 5 }]);

it('knows which places are held, by account, without those that were given back or have expired', () => {
  const places = new HeldPlaces();
  places.add(shape, ['one', 'one:p'], 'a', 100, 0);
  places.add(shape, ['one', 'one:p'], 'a', 300, 0);
  places.add(shape, ['one', 'one:p'], 'b', 200, 0);
  places.add(shape, ['two', 'two:p'], 'a', 200, 0);
  places.release(['two', 'two:p'], 'never');
  const held = (now: number) => places.held(now).map(({ keys, expiresAt }) => [keys[0], [...expiresAt.keys()]]);
  expect(held(199)).toEqual([
    ['one', ['a', 'b']],
    ['two', ['a']],
  ]);
  expect(held(200)).toEqual([['one', ['a']]]);
  places.release(['one', 'one:p'], 'a');
  expect(held(200)).toEqual([]);
});

it('forgets leases that nobody settles, as more are taken', () => {
  const places = new HeldPlaces();
  for (let now = 0; now < 100_000; now++) places.add(shape, [`${now % 50}`, 'p'], `${now}`, now + 100, now);
  expect(places.size).toBeLessThanOrEqual(1_000);
});
