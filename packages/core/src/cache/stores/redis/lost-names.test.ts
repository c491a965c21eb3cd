import { expect, it } from 'vitest';
import { SimulatedClock } from '../../../../test/simulated-clock.js';
import { SimulatedRedis } from '../../../../test/simulated-redis.js';
import { seededRandom } from '../../../kernel/index.js';
import { StoreProbe } from '../../../testing/store-probe.js';
import { redisKeys } from './redis-keys.js';
import { redisStoreOver } from './redis-namespaces.js';

it('a tag whose number outlives the versions never gets that number again', async () => {
  const clock = new SimulatedClock();
  const random = seededRandom(1);
  const redis = new SimulatedRedis({ clock, random });
  const store = redisStoreOver(redis.connect({ delayMs: [0, 0] }), {
    name: 'redis',
    prefix: 'wp',
    leaseTtlMs: 5_000,
    clock,
    random,
  });
  const keys = redisKeys('wp', 'contract');
  const probe = new StoreProbe(store, clock);
  const run = async <T>(work: Promise<T>): Promise<T> => {
    await clock.runUntil(clock.now() + 50);
    return work;
  };
  for (let bump = 0; bump < 5; bump++) await run(probe.invalidateTags('tag'));
  redis.servers[0]?.keyspace.remove(keys.versions); // as Redis evicts it
  await run(probe.set('key', 'old', { tags: ['tag'] }));
  expect(await run(probe.text('key'))).toBe('old');
  for (let bump = 0; bump < 10; bump++) {
    await run(probe.invalidateTags('tag'));
    expect(await run(probe.text('key'))).toBeUndefined();
  }
});
