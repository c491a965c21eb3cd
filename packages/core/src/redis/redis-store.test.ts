import { describe, expect, it } from 'vitest';
import { type RedisStoreOptions, redisStore } from './redis-store.js';

describe('a connection that leads nowhere', () => {
  it.each<[string, unknown, RegExp]>([
    ['nothing', undefined, /'connection' must be an address such as/],
    ['a name', 'cache.internal', /an address such as/],
    ['another protocol', 'http://cache.internal', /an address such as/],
    ['no host', 'redis://', /an address such as/],
    ['a port that is none', 'redis://cache.internal:99999', /an address such as/],
    ['an empty object', {}, /with a 'url' or a 'socket'/],
    ['host and port beside a socket', { host: 'cache.internal', port: 7_000 }, /with a 'url' or a 'socket'/],
    ['a list', ['redis://cache.internal'], /an address such as/],
    ['a Keyv', { client: {}, namespace: 'x' }, /an address such as/],
    ['a cluster without nodes', { rootNodes: [] }, /'rootNodes' must be a list of nodes/],
    ['a cluster of addresses', { rootNodes: ['redis://cache.internal'] }, /a list of nodes with a 'url'/],
    ['a cluster of nonsense', { rootNodes: [{ url: 'nope' }] }, /a list of nodes with a 'url'/],
    [
      'Sentinels without a name',
      { sentinelRootNodes: [{ host: 'a', port: 1 }] },
      /'name' must be the name of the master/,
    ],
    ['no Sentinels', { name: 'main', sentinelRootNodes: [] }, /a list of Sentinels/],
  ])('(%s) is refused, and its password never printed', (_, connection, message) => {
    expect(() => redisStore(connection as string)).toThrow(message);
    expect(() => redisStore('redis://user:secret@')).not.toThrow(/secret/);
  });

  it.each<[RedisStoreOptions, RegExp]>([
    [{ leaseTtl: '0.5ms' }, /'leaseTtl' must be a duration of 100 ms or more/],
    [{ leaseTtl: 0 }, /'leaseTtl' must be a duration of 100 ms or more/],
    [{ prefix: 'a{b}' }, /'prefix' must be/],
    [{ leaseTTL: '1s' } as RedisStoreOptions, /did you mean 'leaseTtl'/],
  ])('is refused with %j as well', (options, message) => {
    expect(() => redisStore('redis://127.0.0.1:1', options)).toThrow(message);
  });
});

describe('a connection', () => {
  it('may be given as a URL', async () => {
    const store = redisStore(new URL('redis://127.0.0.1:1'));
    await store.close();
  });
});
