import { describe, expect, it } from 'vitest';
import type { CacheStore } from './cache/index.js';
import { createAttemptBudget, createWarmpath, type WarmpathEvent, type WarmpathOptions, wrap } from './index.js';
import type { ChatModel } from './models/index.js';
import { chaosStore, createFakeClock, memoryLimits, memoryStore } from './testing/index.js';

const model = (name: string): ChatModel => ({
  name,
  async *stream() {
    yield { type: 'finish', reason: 'stop' };
  },
  generate: async () => ({ text: '', citations: [], reason: 'stop' }),
});

describe('parts by name', () => {
  it('are made once: the name alone gives the same one', () => {
    const warmpath = createWarmpath();
    const run = async (items: readonly number[]) => [...items];
    expect(warmpath.cache('a')).toBe(warmpath.cache('a'));
    expect(warmpath.cache('b', { ttl: '1s' })).toBe(warmpath.cache('b'));
    expect(warmpath.limiter('api', { limit: 1, window: '1s' })).toBe(warmpath.limiter('api'));
    expect(warmpath.batcher('embed', run, { maxItems: 2 })).toBe(warmpath.batcher('embed', run));
    expect(warmpath.batcher('plain', run)).toBe(warmpath.batcher('plain', run));
    expect(warmpath.executor('work', { maxConcurrent: 2 })).toBe(warmpath.executor('work'));
    const embedder = { name: 'm', embed: async (texts: readonly string[]) => texts.map(() => new Float32Array(1)) };
    expect(warmpath.embedder('vectors', embedder, { maxItems: 2 })).toBe(warmpath.embedder('vectors', embedder));
    expect(warmpath.cache('embed')).not.toBe(warmpath.batcher('embed', run));
  });

  it('refuse options a second time, another function to batch with, and a first time without what they need', () => {
    const warmpath = createWarmpath();
    const run = async (items: readonly number[]) => [...items];
    warmpath.cache('a');
    warmpath.limiter('api', { limit: 1, window: '1s' });
    warmpath.batcher('embed', run);
    const refused = expect.objectContaining({ code: 'WP_BAD_OPTION' });
    expect(() => warmpath.cache('a', { ttl: '1s' })).toThrow(refused);
    expect(() => warmpath.limiter('api', { limit: 2, window: '1s' })).toThrow(refused);
    expect(() => warmpath.batcher('embed', run, { maxItems: 5 })).toThrow(refused);
    expect(() => warmpath.batcher('embed', async (items: readonly number[]) => [...items])).toThrow(refused);
    expect(() => warmpath.limiter('other')).toThrow(refused);
    expect(() => warmpath.cache('')).toThrow(refused);
    expect(() => warmpath.executor('work', 5 as never)).toThrow(
      /warmpath\.executor\(\): option 'options' must be an object/,
    );
    expect(() => warmpath.executor(undefined as never)).toThrow(/warmpath\.executor\(\): option 'name'/);
    expect(() => warmpath.batcher('embed', run, {})).toThrow(/with the same function and no options/);
  });

  it('share the clock, the listener and the defaults of the runtime', async () => {
    const clock = createFakeClock();
    const events: WarmpathEvent[] = [];
    const warmpath = createWarmpath({ clock, cache: { ttl: '1s' }, onEvent: (event) => events.push(event) });
    await warmpath.cache('a').getOrSet('key', () => 1);
    await warmpath.cache('long', { ttl: '1m' }).getOrSet('key', () => 1);
    await clock.advance(1_000);
    expect(warmpath.cache('a').peek('key')).toBeUndefined();
    expect(warmpath.cache('long').peek('key')).toBe(1);
    warmpath.limiter('api', { limit: 1, window: '1s' }).tryTake();
    await warmpath.retry('work')(async () => 'done');
    expect(events.map(({ type }) => type)).toEqual([
      'cache.miss',
      'cache.computed',
      'cache.miss',
      'cache.computed',
      'cache.hit',
      'limiter.allowed',
      'attempt.ended',
    ]);
    expect(warmpath.snapshot()).toMatchObject({
      uptimeMs: 1_000,
      caches: { a: { misses: 1 }, long: { misses: 1 } },
      limiters: { api: { allowed: 1, refused: 0 } },
      attempts: { work: { sent: 1 } },
    });
  });

  it('say how its limiters stand, beside what they have counted', async () => {
    const clock = createFakeClock();
    const warmpath = createWarmpath({ clock });
    const limits = [{ limit: 2, window: '1s' as const }, { concurrent: 2 }];
    const limiter = warmpath.limiter('api', { limits, leaseTtl: '10s' });
    warmpath.limiter('idle', { limit: 1, window: '1s', store: memoryLimits({ clock }) });
    for (let call = 0; call < 3; call++) void limiter.reserve('a');
    limiter.observe({ key: 'a', status: 429 });
    await clock.advance(1_000);
    warmpath.report({
      ...{ type: 'limiter.allowed', limiter: 'elsewhere', dimension: 'requests/1s', remaining: 0 },
      ...{ waitedMs: 5, decidedBy: 'memory' },
    });
    expect(warmpath.snapshot().limiters).toEqual({
      api: {
        ...{ allowed: 2, refused: 0, decidedBy: { memory: 2 }, waitedMs: 0, storeFailures: 0 },
        dimensions: [
          { dimension: 'requests/1s', unit: 'requests', limit: 2, used: 0, remaining: 2 },
          { dimension: 'concurrency', unit: 'concurrency', limit: 2, used: 2, remaining: 0 },
        ],
        ...{ keys: 1, waiting: 1, reserved: 2, rate: 0.5 },
        lastChange: { at: Date.UTC(2026, 0, 1), from: 1, to: 0.5, why: 'status 429' },
      },
      idle: {
        ...{ allowed: 0, refused: 0, decidedBy: {}, waitedMs: 0, storeFailures: 0 },
        dimensions: [{ dimension: 'requests/1s', unit: 'requests', limit: 1, used: 0, remaining: 1 }],
        ...{ keys: 0, waiting: 0, reserved: 0, rate: 1 },
        store: { name: 'memory', state: 'closed', peers: 1 },
      },
      elsewhere: { allowed: 1, refused: 0, decidedBy: { memory: 1 }, waitedMs: 5, storeFailures: 0 },
    });
  });

  it('count together with other processes where the limiters of the runtime have a store', async () => {
    const clock = createFakeClock();
    const store = memoryLimits({ clock });
    const limit = { limit: 1, window: '1m' } as const;
    const one = createWarmpath({ clock, limiter: { store } });
    const chat = { models: [{ model: model('m'), limits: limit }] };
    const other = createWarmpath({ clock, chat, limiter: { store: store.peer(), onStoreError: 'refuse' } });
    await one.limiter('api', limit).take();
    expect(await other.limiter('api', limit).take('', 1, { timeout: 0 })).toMatchObject({
      ok: false,
      decidedBy: 'store',
    });
    const own = other.limiter('apart', { ...limit, store: memoryLimits({ clock, name: 'own' }) });
    expect(own.status().store).toMatchObject({ name: 'own' });
    expect(other.limiter('m').status().store).toMatchObject({ name: 'memory' });
  });

  it('of two runtimes have nothing in common', async () => {
    const [left, right] = [createWarmpath(), createWarmpath()];
    await left.cache('a').getOrSet('key', () => 1);
    expect(right.cache('a').peek('key')).toBeUndefined();
    expect(right.snapshot().caches).toEqual({});
  });

  it('hear what adapters report', () => {
    const events: WarmpathEvent[] = [];
    const warmpath = createWarmpath({ onEvent: (event) => events.push(event) });
    warmpath.report({ type: 'fallback.used', name: 'x', failed: 'a', next: 'b', error: new Error('no') });
    expect(warmpath.snapshot().fallbacks).toEqual({ x: { used: 1 } });
    expect(events).toHaveLength(1);
  });
});

describe('the caches of a runtime', () => {
  it('have the defaults of the runtime, the store among them, and what is given for one cache wins', async () => {
    const clock = createFakeClock();
    const [store, own] = [memoryStore(), memoryStore({ name: 'own' })];
    const first = createWarmpath({ clock, cache: { store, ttl: '1m', negativeTtl: '1s', scope: 'shared' } });
    await first.cache('facts').getOrSet('key', () => 'kept');
    await first.cache('answers', { ttl: '1h' }).getOrSet('key', () => null);
    await first.cache('apart', { store: own }).getOrSet('key', () => 'kept apart');
    await first.close();
    const second = createWarmpath({ clock, cache: { store: store.peer() } });
    expect(await second.cache('facts', { scope: 'shared' }).get('key')).toMatchObject({
      value: 'kept',
      level: 'store',
    });
    expect(await second.cache('apart').get('key')).toBeUndefined();
    expect(await second.cache('apart too', { store: own.peer() }).get('key')).toBeUndefined(); // names keep caches apart
    expect(await second.cache('answers').get('key')).toMatchObject({ value: null });
    await clock.advance(1_000);
    expect(await first.cache('answers').get('key')).toBeUndefined(); // its negativeTtl is the runtime's
  });

  it('give everything that a cache can do', async () => {
    const clock = createFakeClock();
    const warmpath = createWarmpath({ clock, cache: { store: memoryStore(), ttl: '1m', grace: '1h' } });
    const cache = warmpath.cache('x');
    let calls = 0;
    const twice = cache.wrap(
      function twice(n: number) {
        calls++;
        return n * 2;
      },
      { tags: (n) => [`n:${n}`] },
    );
    expect([await twice(2), twice.peek(2), await twice(2), calls]).toEqual([4, 4, 4, 1]);
    expect(await cache.get(twice.key(2))).toMatchObject({ value: 4, level: 'memory' });
    await cache.invalidateTags(['n:2']);
    expect([twice.peek(2), await twice(2), calls]).toEqual([undefined, 4, 2]);
    await twice.invalidate(2);
    expect(twice.peek(2)).toBeUndefined();
    expect(await cache.getOrSetMany([1, 2], (missing) => missing.map((n) => -n))).toEqual([-1, -2]);
    await cache.setMany([[3, 'c']]);
    expect((await cache.getMany([1, 3, 4])).map((result) => result?.value)).toEqual([-1, 'c', undefined]);
    await cache.expire(1);
    expect(await cache.resolve(1, () => Promise.reject(new Error('away')))).toMatchObject({
      value: -1,
      stale: 'failed',
    });
    const { chunks } = await cache.stream('s', async function* () {
      yield 'chunk';
    });
    for await (const chunk of chunks) expect(chunk).toBe('chunk');
    await cache.clear();
    expect(cache.peek(3)).toBeUndefined();
    await warmpath.close();
  });

  it('count in the snapshot what they serve stale, refresh, let go, reject and cannot store', async () => {
    const clock = createFakeClock();
    const store = memoryStore();
    const shaky = chaosStore(store, { clock });
    const warmpath = createWarmpath({ clock, cache: { store: shaky, ttl: '1s', staleWhileRevalidate: '1m' } });
    const cache = warmpath.cache('x', { maxEntries: 2 });
    await cache.getOrSet('a', () => 1);
    await clock.advance(1_000);
    await cache.getOrSet('a', () => 2); // the old value, and a refresh
    await clock.advance(0);
    expect(cache.peek('a')).toBe(2);
    for (const key of ['b', 'c', 'd']) await cache.set(key, key);
    shaky.trouble('reject', 'setMany');
    await cache.set('e', 'e');
    await clock.advance(0);
    shaky.trouble(undefined);
    const other = createWarmpath({
      clock,
      cache: { store: store.peer(), encryption: { current: 'k', keys: { k: 'ab'.repeat(32) } } },
    });
    expect(await other.cache('x').get('a')).toBeUndefined(); // what is not encrypted is not taken for what is
    const { evictions, ...counted } = warmpath.snapshot().caches.x ?? {};
    expect(counted).toMatchObject({ hits: { memory: 2 }, staleHits: 1, misses: 1, refreshes: 1, storeFailures: 1 });
    expect(evictions).toBeGreaterThan(0);
    expect(other.snapshot().caches.x).toMatchObject({ rejected: 1 });
  });
});

describe('batches, tasks and pipelines', () => {
  it('are counted, on the clock of the runtime', async () => {
    const clock = createFakeClock();
    const events: WarmpathEvent[] = [];
    const warmpath = createWarmpath({ clock, onEvent: (event) => events.push(event) });
    const batcher = warmpath.batcher('double', async (items: readonly number[]) => items.map((item) => item * 2), {
      maxItems: 4,
    });
    expect(await batcher.loadMany([1, 2])).toEqual([2, 4]);
    const executor = warmpath.executor('work');
    await executor.runAll([() => 1, () => Promise.reject(new Error('no'))]);
    const run = warmpath.pipeline<number>('sum', { executor }).step('one', { run: ({ input }) => input + 1 });
    expect((await run.run(1)).results.one).toBe(2);
    expect(warmpath.snapshot()).toMatchObject({
      batchers: { double: { batches: 1, items: 2, failures: 0, efficiency: 0.5 } },
      executors: { work: { done: 2, failed: 1 } },
      pipelines: { sum: { runs: 1, failures: 0, totalMs: { count: 1 } } },
    });
    expect(events.map(({ type }) => type)).toEqual([
      'batch.done',
      'task.done',
      'task.done',
      'task.done',
      'pipeline.step',
      'pipeline.done',
    ]);
  });
});

describe('close', () => {
  it('sends what waits in the batchers, waits for it and for the caches’ writes, and may be called twice', async () => {
    const clock = createFakeClock();
    const warmpath = createWarmpath({ clock });
    const batcher = warmpath.batcher('double', async (items: readonly number[]) => items.map((item) => item * 2));
    const load = batcher.load(4);
    let written = false;
    const store: CacheStore = {
      name: 'slow',
      getMany: async ({ keys }) => ({ entries: keys.map(() => undefined), fence: 1 }),
      setMany: ({ entries }) =>
        new Promise((resolve) => {
          clock.schedule(20, () => {
            written = true;
            resolve(entries.map(() => true));
          });
        }),
      invalidate: async () => {},
    };
    await warmpath.cache('stored', { store }).getOrSet('key', () => 1);
    const closing = warmpath.close();
    expect(await load).toBe(8);
    await clock.advance(20);
    await closing;
    expect(written).toBe(true);
    await expect(batcher.load(1)).rejects.toMatchObject({ code: 'WP_CLOSED' });
    await warmpath.close();
    expect(clock.pending).toBe(0);
  });

  it('lets tasks end, and what they ask of batchers and embedders', async () => {
    const clock = createFakeClock();
    const warmpath = createWarmpath({ clock });
    const double = warmpath.batcher('double', async (items: readonly number[]) => items.map((item) => item * 2));
    const embed = async (texts: readonly string[]) => texts.map(({ length }) => new Float32Array([length]));
    const cache = warmpath.cache('vectors', { scope: 'shared' });
    const vectors = warmpath.embedder('vectors', { name: 'm', embed }, { cache });
    const executor = warmpath.executor('work');
    const work = executor.run(async () => {
      await new Promise<void>((resolve) => void clock.schedule(100, resolve));
      return [await double.load(4), ...(await vectors.embedOne('four'))];
    });
    const closing = warmpath.close();
    await clock.advance(100);
    expect(await work).toEqual([8, 4]);
    await closing;
    await expect(executor.run(() => 1)).rejects.toMatchObject({ code: 'WP_CLOSED' });
    await expect(vectors.embedOne('five')).rejects.toMatchObject({ code: 'WP_CLOSED' });
    expect(clock.pending).toBe(0);
  });

  it('refuses who waits at a limiter', async () => {
    const warmpath = createWarmpath({ clock: createFakeClock() });
    const limiter = warmpath.limiter('api', { limit: 1, window: '1h', timeout: '1d' });
    limiter.tryTake();
    const waiting = limiter.take();
    await warmpath.close();
    await expect(waiting).rejects.toMatchObject({ code: 'WP_CLOSED' });
  });
});

describe('options', () => {
  it.each<[unknown, RegExp]>([
    ['fast', /'options' must be an object/],
    [{ cache: true }, /'cache' must be an object/],
    [{ cache: { ttl: 'soon' } }, /'ttl' must be a duration/],
    [{ cache: { maxEntry: 5 } }, /there is no option 'maxEntry'/],
    [{ limiter: { limit: 5 } }, /there is no option 'limit'; it takes 'store', 'storeTimeout'/],
    [{ limiter: { store: {} } }, /'store' must be a store of limits/],
    [{ clock: Date }, /'clock' must be a clock/],
    [{ random: 4 }, /'random'/],
    [{ onEvent: 'log' }, /'onEvent'/],
    [{ chats: {} }, /did you mean 'chat'/],
    [{ chat: {} }, /'models' must be/],
    [{ chat: { models: [] } }, /'models' must be a list of 1 or more/],
    [{ chat: { models: ['llama'] } }, /'models'/],
    [{ chat: { models: [{ name: 'half', stream() {} }] } }, /'models' must be a list of chat models/],
    [{ chat: { models: [{ ...model('m'), name: '' }] } }, /'models' must be a list of chat models/],
    [{ chat: { models: [{ model: { stream() {}, generate() {} } }] } }, /'model' must be a chat model/],
    [{ chat: { models: [{ model: model('m'), weight: -1 }] } }, /'weight' must be a number from 0 up/],
    [{ chat: { models: [{ model: model('m'), weigth: 1 }] } }, /did you mean 'weight'/],
    [{ chat: { models: [model('twin'), { model: model('twin') }] } }, /different names, got 'twin'/],
    [{ chat: { models: [model('m')], rules: [{ name: 'r', when: () => true, use: 'x' }] } }, /one of m, got 'x'/],
    [{ chat: { models: [model('m')], retry: { attempts: 0 } } }, /'attempts' must be a whole number/],
    [{ chat: { models: [model('m')], retry: { atempts: 2 } } }, /did you mean 'attempts'/],
    [{ chat: { models: [model('m')], cache: true } }, /'cache' must be one of false, or an object/],
    [{ chat: { models: [model('m')], cache: { ttl: 0 } } }, /'ttl' must be/],
    [{ chat: { models: [{ model: model('m'), limits: [] }] } }, /'limits' must be an object/],
    [{ chat: { models: [{ model: model('m'), limits: {} }] } }, /'limit' must be given, or 'limits' instead/],
    [
      { chat: { models: [{ model: model('m'), limits: { limits: [{ unit: 'usd', limit: 1, per: 'day' }] } }] } },
      /model 'm' limits: option 'unit' must be one of 'requests', .* got 'usd'/,
    ],
  ])('refuses %j', (options, message) => {
    expect(() => createWarmpath(options as WarmpathOptions)).toThrow(
      expect.objectContaining({ code: 'WP_BAD_OPTION', message: expect.stringMatching(message) }),
    );
  });

  it('has no chat without models', () => {
    expect(() => createWarmpath().chat).toThrow(/'chat' must be given before the runtime can chat/);
  });

  it('does not write into what it was given', () => {
    const chat = Object.freeze({ models: Object.freeze([model('m')]), retry: Object.freeze({ attempts: 1 }) });
    const options = Object.freeze({ cache: Object.freeze({ ttl: '1s' as const }), chat });
    expect(() => createWarmpath(options)).not.toThrow();
  });
});

describe('policies and services of a runtime', () => {
  it('share its clock, its budget and its listener, and show in its snapshot', async () => {
    const clock = createFakeClock();
    const events: WarmpathEvent[] = [];
    const warmpath = createWarmpath({
      clock,
      random: () => 0,
      budget: { perSecond: 0 },
      onEvent: (event) => events.push(event),
    });
    const gpt = wrap(warmpath.retry('gpt'), warmpath.breaker('gpt', { consecutive: 1 }), warmpath.timeout('gpt', '1s'));
    const down = () => Promise.reject(new Error('down'));
    await expect(gpt(down)).rejects.toThrow('down');
    await expect(gpt(down)).rejects.toMatchObject({ code: 'WP_BREAKER_OPEN' });
    const local = { name: 'local', run: async () => 'from local' };
    const { value } = await warmpath.fallback('answers')([{ name: 'gpt', run: (call) => gpt(down, call) }, local]);
    expect(value).toBe('from local');
    expect(await warmpath.hedge('answers')([local])).toMatchObject({ step: 'local' });
    expect(await warmpath.bulkhead('gpu', { maxConcurrent: 1 })(() => 1)).toBe(1);
    expect(warmpath.snapshot()).toMatchObject({
      attempts: { gpt: { sent: 1, refused: 2, failures: 1 }, local: { sent: 2, fallbacks: 1 } },
      fallbacks: { answers: { used: 1 } },
      breakers: { gpt: { opened: 1, rejected: 2, state: 'open' } },
      bulkheads: { gpu: { limit: 1, running: 0 } },
      budget: { refused: 1 },
    });
    expect(events.map(({ type }) => type)).toContain('breaker.opened');
  });

  it('draw from a budget that they share with others, where they are given one', async () => {
    const clock = createFakeClock();
    const budget = createAttemptBudget({ clock });
    const [one, other] = [createWarmpath({ clock, budget }), createWarmpath({ clock, budget })];
    await one.retry('gpt')(() => 1);
    await other.retry('gpt')(() => 1);
    expect(budget.stats().firsts).toBe(2);
    expect(other.snapshot().budget).toEqual(budget.stats());
    expect(() => createWarmpath({ budget: { rate: 1 } as never })).toThrow("did you mean 'ratio'?");
  });

  it.each(['retry', 'fallback', 'pipeline'] as const)('refuse a name and options of %s that are none', (kind) => {
    const ask = createWarmpath()[kind] as (name: unknown, options?: unknown) => unknown;
    expect(() => ask(undefined)).toThrow(`warmpath.${kind}(): option 'name' must be`);
    for (const options of [5, null, async () => 1, [{ name: 'gpt', run: () => 1 }]])
      expect(() => ask('gpt', options)).toThrow(`warmpath.${kind}(): option 'options' must be an object`);
  });

  it('refuse a time limit without a name', () => {
    const ask = createWarmpath().timeout as (name?: string, after?: string) => unknown;
    expect(() => ask(undefined, '5s')).toThrow("warmpath.timeout(): option 'name' must be");
    expect(() => ask('5s')).toThrow("timeout(): option 'after' must be a duration");
  });

  it('keep one breaker for a backend', () => {
    const warmpath = createWarmpath();
    expect(warmpath.breaker('gpt')).toBe(warmpath.breaker('gpt'));
    expect(() => warmpath.breaker('gpt', { probes: 1 })).toThrow("A breaker named 'gpt' exists already");
  });

  it('open a pool of connections at its first use, and close it', async () => {
    const warmpath = createWarmpath();
    await expect(warmpath.http('gpt', { connections: 0 })).rejects.toThrow("option 'connections'");
    const pool = await warmpath.http('gpt', { connections: 2 });
    expect(await warmpath.http('gpt')).toBe(pool);
    expect(warmpath.snapshot().services).toMatchObject({ gpt: { failures: 0, inFlight: 0 } });
    await warmpath.close();
    await expect(pool.request('http://127.0.0.1:1/')).rejects.toMatchObject({ code: 'WP_CLOSED' });
  });
});
