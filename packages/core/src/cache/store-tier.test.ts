import { expect, it } from 'vitest';
import { createFakeClock, memoryStore } from '../testing/index.js';
import { createCache } from './index.js';
import type { StoreWrite } from './store.js';

it('writes times that are in order, although time goes on from one reading of the clocks to the next', async () => {
  const clock = createFakeClock();
  let readings = 0;
  const moving = { ...clock, now: () => clock.now() + 0.001 * ++readings, wall: () => Math.floor(clock.wall()) };
  const store = memoryStore();
  const writes: StoreWrite[] = [];
  const cache = createCache({
    name: 'answers',
    clock: moving,
    store: {
      ...store,
      setMany(write) {
        writes.push(write);
        return store.setMany(write);
      },
    },
  });
  await cache.getOrSet('key', () => 'value');
  await cache.close();
  const [entry] = writes.flatMap(({ entries }) => entries.map((each) => each.entry));
  expect(entry?.keptUntil).toBe(entry?.freshUntil); // there is no grace
  expect(entry?.freshUntil).toBeCloseTo((entry?.storedAt ?? 0) + 300_000, 6);
});
