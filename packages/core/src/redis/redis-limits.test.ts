import { expect, it } from 'vitest';
import { type RedisLimitsOptions, redisLimits } from './redis-limits.js';

it('refuses a connection that leads nowhere, in its own name', () => {
  expect(() => redisLimits('cache.internal')).toThrow(/^redisLimits\(\).*'connection' must be an address such as/);
  expect(() => redisLimits('redis://user:secret@')).not.toThrow(/secret/);
});

it.each<[RedisLimitsOptions, RegExp]>([
  [{ prefix: 'a{b}' }, /'prefix' must be/],
  [{ name: '' }, /'name' must be/],
  [{ prefx: 'a' } as RedisLimitsOptions, /did you mean 'prefix'/],
])('is refused with %j', (options, message) => {
  expect(() => redisLimits('redis://127.0.0.1:1', options)).toThrow(message);
});

it('refuses calls after it was closed', async () => {
  const store = redisLimits(new URL('redis://127.0.0.1:1'));
  await store.close();
  await store.close();
  await expect(store.peers(new AbortController().signal)).rejects.toMatchObject({ code: 'WP_CLOSED' });
});
