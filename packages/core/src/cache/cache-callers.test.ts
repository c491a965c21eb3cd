import { expect, it, vi } from 'vitest';
import { createFakeClock, memoryStore } from '../testing/index.js';
import { type CacheOptions, createCache } from './index.js';

function setUp(options: Partial<CacheOptions> = {}) {
  const clock = createFakeClock();
  return { clock, cache: createCache({ name: 'test', clock, ...options }) };
}

it('a list of tags that its caller changes afterwards rules what it ruled when it was passed', async () => {
  const { cache } = setUp();
  const tags = ['user:1'];
  const during = cache.getOrSet('computed', () => 1, { tags });
  await cache.set('set', 1, { tags });
  tags[0] = 'user:2';
  await during;
  await cache.invalidateTags(['user:1']);
  expect([cache.peek('computed'), cache.peek('set')]).toEqual([undefined, undefined]);
});

it('a tag with half a surrogate pair is refused: a store would give it back as another one', async () => {
  const { cache } = setUp();
  await expect(cache.set('key', 1, { tags: ['\ud800'] })).rejects.toMatchObject({ code: 'WP_BAD_OPTION' });
});

it.each([
  ['memory alone', {}],
  ['a store', { store: memoryStore() }],
])('arguments and keys that change after the call are computed from as they were: %s', async (_, options) => {
  const { cache } = setUp(options);
  const page = cache.wrap(async function page(query: { page: number }) {
    return `page ${query.page}`;
  });
  const query = { page: 0 };
  const asked = [1, 2, 3].map((number) => {
    query.page = number;
    return page(query);
  });
  expect(await Promise.all(asked)).toEqual(['page 1', 'page 2', 'page 3']);
  expect(await page({ page: 1 })).toBe('page 1');

  const key = { id: 1 };
  const many = cache.getOrSetMany([key], (missing) => missing.map(({ id }) => id));
  key.id = 2;
  expect(await many).toEqual([1]);
});

it('notModified() counts also where it is not returned', async () => {
  const { cache, clock } = setUp({ ttl: '1s', grace: '1m' });
  await cache.set('key', 'whole');
  await clock.advance(1_000);
  const value = await cache.getOrSet<string>('key', ({ previous, notModified }) => {
    if (previous) notModified();
    return '';
  });
  expect([value, cache.peek('key')]).toEqual(['whole', 'whole']);
});

it('an instance that decides about its own JSON is handed out as it is and not kept: a copy would show what it hides', async () => {
  class User {
    readonly id = 1;
    readonly passwordHash = 'secret';

    toJSON(): object {
      return { id: this.id };
    }
  }
  const { cache } = setUp();
  expect(JSON.stringify(await cache.getOrSet('key', () => ({ user: new User() })))).toBe('{"user":{"id":1}}');
  expect(cache.peek('key')).toBeUndefined();
});

it('canRefresh and isComplete that answer with a promise have not said yes', async () => {
  const { cache, clock } = setUp({
    ttl: '1s',
    staleWhileRevalidate: '1m',
    canRefresh: (async () => true) as unknown as () => boolean,
  });
  await cache.set('key', 'old');
  await clock.advance(1_000);
  const compute = vi.fn(() => 'new');
  expect(await cache.getOrSet('key', compute)).toBe('old');
  await clock.settle();
  expect(compute).not.toHaveBeenCalled();

  const source = async function* () {
    yield 1;
  };
  const isComplete = (async () => true) as unknown as () => boolean;
  for await (const _ of (await cache.stream('stream', source, { isComplete })).chunks);
  expect((await cache.stream('stream', source)).level).toBe('computed');
});

it('a schema that never answers is one that does not fit, after the store deadline', async () => {
  const schema = { '~standard': { version: 1, vendor: 'test', validate: () => new Promise<never>(() => {}) } } as const;
  const store = memoryStore();
  await setUp({ store }).cache.set('key', 'old');
  const { cache, clock } = setUp({ store, schema });
  const value = cache.getOrSet('key', () => 'new');
  await clock.advance(50);
  expect(await value).toBe('new');
});

it('every lookup that finds nothing is a miss, and a stream from the store is a hit', async () => {
  const store = memoryStore();
  const log: string[] = [];
  const onEvent = ({ type }: { type: string }): void => void log.push(type);
  const source = async function* () {
    yield 1;
  };
  for await (const _ of (await setUp({ store }).cache.stream('stream', source)).chunks);
  const { cache } = setUp({ store, onEvent });
  await cache.getMany(['a', 'b']);
  for await (const _ of (await cache.stream('stream', source)).chunks);
  expect(log).toEqual(['cache.miss', 'cache.miss', 'cache.hit']);
});
