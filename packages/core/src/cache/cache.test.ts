import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { currentContext, runInContext } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { type CacheEvent, type CacheOptions, type Computation, createCache } from './index.js';

function setUp(options: Partial<CacheOptions> = {}) {
  const clock = createFakeClock();
  const log: string[] = [];
  const onEvent = (event: CacheEvent): void => {
    const { level = '', reason = '' } = event as { level?: string; reason?: string };
    log.push([event.type, level || reason].filter(Boolean).join(' '));
  };
  return { clock, log, cache: createCache({ name: 'test', clock, onEvent, ...options }) };
}

/** A computation that the test ends by hand. */
function deferred<T>() {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const signals: AbortSignal[] = [];
  const compute = vi.fn(({ signal }: Computation) => {
    signals.push(signal);
    return promise;
  });
  return { compute, resolve, reject, signals };
}

describe('one computation for all who ask', () => {
  it('runs once for 50 callers, who all get its value', async () => {
    const { cache, clock } = setUp();
    const { compute, resolve } = deferred<string>();
    const callers = Array.from({ length: 50 }, () => cache.resolve('key', compute));
    await clock.settle();
    resolve('value');
    const results = await Promise.all(callers);
    expect(compute).toHaveBeenCalledTimes(1);
    expect(results.map(({ value }) => value)).toEqual(Array(50).fill('value'));
    expect(results.map(({ level }) => level)).toEqual(['computed', ...Array(49).fill('shared')]);
  });

  it('runs once for 50 callers when it fails, all see that very error, and nothing is kept', async () => {
    const { cache, clock, log } = setUp();
    const { compute, reject } = deferred<string>();
    const callers = Array.from({ length: 50 }, () => cache.getOrSet('key', compute));
    await clock.settle();
    const error = new Error('no luck');
    reject(error);
    const outcomes = await Promise.allSettled(callers);
    expect(compute).toHaveBeenCalledTimes(1);
    expect(outcomes.every((outcome) => outcome.status === 'rejected' && outcome.reason === error)).toBe(true);
    expect(cache.peek('key')).toBeUndefined();
    await expect(cache.getOrSet('key', () => 'better')).resolves.toBe('better');
    expect(log).toEqual(['cache.miss', 'cache.failed', 'cache.miss', 'cache.computed']);
  });

  it('gives the first caller what later ones will get: data, in a copy of its own', async () => {
    class User {
      name = 'Ada';
    }
    const { cache } = setUp();
    const made = new User();
    const first = await cache.getOrSet('key', () => made);
    const second = await cache.getOrSet('key', () => made);
    expect(first).not.toBe(made);
    expect([first instanceof User, second instanceof User]).toEqual([false, false]);
    expect([first, second]).toEqual([{ name: 'Ada' }, { name: 'Ada' }]);
  });

  it('runs as the tenant whose entry it is, with nothing of the caller who happened to come first', async () => {
    const seen = (): unknown => [currentContext()?.tenant, currentContext()?.attributes];
    const mine = setUp().cache;
    const shared = setUp({ scope: 'shared' }).cache;
    await runInContext({ tenant: 'acme', attributes: { user: 'alice' } }, async () => {
      expect(await mine.getOrSet('key', seen)).toEqual(['acme', {}]);
      expect(await mine.getOrSet('key', seen, { tenant: 'globex' })).toEqual(['globex', {}]);
      expect(await shared.getOrSet('key', seen)).toEqual([undefined, {}]);
      // So a shared entry cannot be made of what one tenant alone may see.
      const secret = setUp({ scope: 'tenant' }).cache;
      const leak = shared.getOrSet('other', () => secret.getOrSet('key', () => 'secret of acme'));
      await expect(leak).rejects.toMatchObject({ code: 'WP_TENANT_REQUIRED' });
    });
  });

  it('goes on when a listener throws', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const onEvent = (): never => {
      throw new Error('full disk');
    };
    expect(await setUp({ onEvent }).cache.getOrSet('key', () => 1)).toBe(1);
    expect(warned).toHaveBeenCalledTimes(1);
    warned.mockRestore();
  });

  it('passes on what a computation throws before it gives a promise', async () => {
    const { cache } = setUp();
    const compute = (): string => {
      throw new Error('at once');
    };
    await expect(cache.getOrSet('key', compute)).rejects.toThrow('at once');
  });

  it('tells its story in order', async () => {
    const { cache, clock, log } = setUp({ ttl: '1s' });
    const { compute, resolve } = deferred<number>();
    const both = [cache.getOrSet('key', compute), cache.getOrSet('key', compute)];
    await clock.settle();
    resolve(1);
    await Promise.all(both);
    await cache.getOrSet('key', compute);
    await clock.advance(1_000);
    await cache.getOrSet('key', () => 2);
    expect(log).toEqual([
      'cache.miss',
      'cache.computed',
      'cache.hit shared',
      'cache.hit memory',
      'cache.miss',
      'cache.computed',
    ]);
  });

  it('says how old a value is and what a hit has saved', async () => {
    const events: CacheEvent[] = [];
    const { cache, clock } = setUp({ onEvent: (event) => events.push(event) });
    const { compute, resolve } = deferred<number>();
    const first = cache.resolve('key', compute);
    await clock.advance(300);
    resolve(1);
    expect(await first).toEqual({ value: 1, level: 'computed', ageMs: 0 });
    await clock.advance(40);
    expect(await cache.resolve('key', compute)).toEqual({ value: 1, level: 'memory', ageMs: 40 });
    expect(events.at(-1)).toMatchObject({ type: 'cache.hit', level: 'memory', ageMs: 40, savedMs: 300 });
  });
});

describe('what is kept', () => {
  it.each([null, undefined, 0, '', false, Number.NaN])('keeps %s like any other value', async (value) => {
    const { cache } = setUp();
    const compute = vi.fn(() => value);
    await cache.getOrSet('key', compute);
    const again = await cache.resolve('key', compute);
    expect(again).toMatchObject({ value, level: 'memory' });
    expect(compute).toHaveBeenCalledTimes(1);
  });

  it('serves a value up to its ttl and not at it', async () => {
    const { cache, clock } = setUp({ ttl: '10s' });
    await cache.getOrSet('key', () => 'old');
    await clock.advance(9_999);
    expect(await cache.getOrSet('key', () => 'new')).toBe('old');
    await clock.advance(1);
    expect(await cache.getOrSet('key', () => 'new')).toBe('new');
  });

  it('counts the ttl from the end of the computation', async () => {
    const { cache, clock } = setUp({ ttl: '10s' });
    const { compute, resolve } = deferred<string>();
    const first = cache.getOrSet('key', compute);
    await clock.advance(60_000);
    resolve('slow');
    await first;
    await clock.advance(9_999);
    expect(cache.peek('key')).toBe('slow');
  });

  it.each<[string, unknown[], RegExp]>([
    ['no computation', ['key'], /option 'compute' must be a function, got undefined/],
    ['a ttl that is none', ['key', () => 1, { ttl: 'abc' }], /option 'ttl' must be a duration .*got 'abc'/],
    ['a tenant that is no string', ['key', () => 1, { tenant: 5 }], /option 'tenant' must be a string, got 5/],
    ['a key that is no data', [{ tools: [{ run: () => 1 }] }, () => 1], /^key\.tools\[0\]\.run is the function 'run'/],
  ])('refuses %s', async (_, call, words) => {
    const { cache } = setUp();
    await expect(cache.getOrSet(...(call as Parameters<typeof cache.getOrSet>))).rejects.toThrow(words);
  });

  it('takes the ttl of the call that computes', async () => {
    const { cache, clock } = setUp({ ttl: '10s' });
    await cache.getOrSet('brief', () => 1, { ttl: '1s' });
    await cache.getOrSet('long', () => 1, { ttl: '30d' });
    await cache.getOrSet('never', () => 1, { ttl: 0 });
    expect(cache.peek('never')).toBeUndefined();
    await clock.advance(1_000);
    expect(cache.peek('brief')).toBeUndefined();
    await clock.advance(29 * 86_400_000);
    expect(cache.peek('long')).toBe(1);
  });

  it('is not moved by a wall clock that jumps', async () => {
    const { cache, clock } = setUp({ ttl: '10s' });
    await cache.getOrSet('key', () => 1);
    clock.stepWall(-3_600_000);
    expect(await cache.resolve('key', () => 2)).toMatchObject({ value: 1, ageMs: 0 });
    clock.stepWall(7_200_000);
    expect(cache.peek('key')).toBe(1);
  });

  it('never holds more than maxEntries, and drops the one unused for longest', () => {
    const command = fc.record({ key: fc.integer({ min: 0, max: 7 }), write: fc.boolean() });
    return fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 60 }), fc.integer({ min: 1, max: 5 }), async (commands, max) => {
        const { cache } = setUp({ maxEntries: max });
        let model: number[] = []; // the keys, the one used last at the end
        for (const { key, write } of commands) {
          const known = model.includes(key);
          if (write) expect((await cache.resolve(key, () => key)).level).toBe(known ? 'memory' : 'computed');
          else expect(cache.peek(key)).toBe(known ? key : undefined);
          if (write || known) model = [...model.filter((each) => each !== key), key].slice(-max);
        }
      }),
    );
  });

  it('keeps equal keys together and different ones apart, whatever their form', async () => {
    const { cache } = setUp();
    await cache.getOrSet({ a: 1, b: new Map([['x', 1n]]) }, () => 'first');
    expect(cache.peek({ b: new Map([['x', 1n]]), a: 1 })).toBe('first');
    expect(cache.peek({ b: new Map([['x', 1]]), a: 1 })).toBeUndefined();
    await expect(
      cache.getOrSet(
        () => {},
        () => 1,
      ),
    ).rejects.toMatchObject({ code: 'WP_BAD_KEY' });
  });
});

describe('a value of one’s own', () => {
  it('goes to the caller who computed it, to those who joined, and to those who hit', async () => {
    const { cache, clock } = setUp();
    const { compute, resolve } = deferred<{ list: number[] }>();
    const waiting = [1, 2, 3].map(() => cache.getOrSet('key', compute));
    await clock.settle();
    const original = { list: [1] };
    resolve(original);
    const values = [...(await Promise.all(waiting)), await cache.getOrSet('key', compute), cache.peek('key')] as {
      list: number[];
    }[];
    expect(new Set(values).size).toBe(5);
    for (const [index, value] of values.entries()) {
      expect(value).toEqual({ list: [1] });
      value.list.push(index, index);
      value.list.length = 3;
    }
    expect(cache.peek('key')).toEqual({ list: [1] });
  });

  it('stays a Buffer of just its own bytes', async () => {
    const { cache } = setUp();
    await cache.getOrSet('key', () => Buffer.from('hello'));
    const hit = await cache.getOrSet('key', () => Buffer.from('other'));
    expect(Buffer.isBuffer(hit)).toBe(true);
    expect(hit.toString()).toBe('hello');
  });

  it('is handed out but not kept when it has no copy', async () => {
    const { cache, log } = setUp();
    const value = { call: () => 1 };
    expect(await cache.getOrSet('key', () => value)).toBe(value);
    expect(cache.peek('key')).toBeUndefined();
    expect(log).toEqual(['cache.miss', 'cache.computed', 'cache.unstored not-cloneable']);
  });
});

describe('who shares an entry', () => {
  const tenants = ['acme', 'globex', undefined] as const;
  const ask = async (scope: CacheOptions['scope']) => {
    const { cache } = setUp(scope ? { scope } : {});
    const seen: unknown[] = [];
    for (const tenant of tenants) {
      seen.push(
        await cache
          .resolve('key', () => tenant, tenant === undefined ? {} : { tenant })
          .then(({ level, value }) => `${value} ${level}`)
          .catch((error) => error.code),
      );
    }
    return { cache, seen };
  };

  it('is each tenant alone by default, and those without a tenant together', async () => {
    const { seen, cache } = await ask(undefined);
    expect(seen).toEqual(['acme computed', 'globex computed', 'undefined computed']);
    expect(cache.peek('key', { tenant: 'acme' })).toBe('acme');
    expect(cache.peek('key', { tenant: 'initech' })).toBeUndefined();
  });

  it('is each tenant alone, and nobody without one, where the scope is the tenant', async () => {
    const { seen, cache } = await ask('tenant');
    expect(seen).toEqual(['acme computed', 'globex computed', 'WP_TENANT_REQUIRED']);
    expect(() => cache.peek('key')).toThrow(/keeps tenants apart/);
    await expect(cache.stream('key', async function* () {})).rejects.toMatchObject({ code: 'WP_TENANT_REQUIRED' });
    await expect(cache.delete('key')).rejects.toMatchObject({ code: 'WP_TENANT_REQUIRED' });
  });

  it('is everybody where the scope is shared', async () => {
    const { seen } = await ask('shared');
    expect(seen).toEqual(['acme computed', 'acme memory', 'acme memory']);
  });

  it('takes the tenant of the running context, unless the call names one', async () => {
    const { cache } = setUp({ scope: 'tenant' });
    await runInContext({ tenant: 'acme' }, () => cache.getOrSet('key', () => 'for acme'));
    expect(cache.peek('key', { tenant: 'acme' })).toBe('for acme');
    await runInContext({ tenant: 'acme' }, () => cache.getOrSet('key', () => 'for globex', { tenant: 'globex' }));
    expect(cache.peek('key', { tenant: 'globex' })).toBe('for globex');
    await runInContext({ tenant: 'acme' }, () => cache.delete('key'));
    expect(cache.peek('key', { tenant: 'acme' })).toBeUndefined();
    expect(cache.peek('key', { tenant: 'globex' })).toBe('for globex');
  });
});

describe('leaving', () => {
  it('detaches one caller with its own reason, and the others get the value', async () => {
    const { cache, clock } = setUp();
    const { compute, resolve, signals } = deferred<string>();
    const leaving = new AbortController();
    const stays = cache.getOrSet('key', compute);
    const leaves = cache.getOrSet('key', compute, { signal: leaving.signal });
    await clock.settle();
    const reason = new Error('closed the tab');
    leaving.abort(reason);
    await expect(leaves).rejects.toBe(reason);
    expect(signals[0]?.aborted).toBe(false);
    resolve('value');
    await expect(stays).resolves.toBe('value');
    expect(cache.peek('key')).toBe('value');
  });

  it('detaches the caller who began, and the computation goes on for those who joined', async () => {
    const { cache, clock } = setUp();
    const { compute, resolve, signals } = deferred<string>();
    const leaving = new AbortController();
    const began = cache.getOrSet('key', compute, { signal: leaving.signal });
    const joined = cache.getOrSet('key', compute);
    await clock.settle();
    leaving.abort();
    await expect(began).rejects.toMatchObject({ name: 'AbortError' });
    expect(signals[0]?.aborted).toBe(false);
    resolve('value');
    await expect(joined).resolves.toBe('value');
    expect(compute).toHaveBeenCalledTimes(1);
  });

  it('aborts the computation with the last caller, and newcomers begin anew', async () => {
    const { cache, clock, log } = setUp();
    const { compute, signals, reject } = deferred<string>();
    const callers = [1, 2].map(() => new AbortController());
    const waits = callers.map(({ signal }) => cache.getOrSet('key', compute, { signal }));
    await clock.settle();
    callers[0]?.abort(new Error('first'));
    await expect(waits[0]).rejects.toThrow('first');
    expect(signals[0]?.aborted).toBe(false);
    callers[1]?.abort(new Error('second'));
    await expect(waits[1]).rejects.toThrow('second');
    expect(signals[0]?.aborted).toBe(true);
    expect(signals[0]?.reason).toEqual(new Error('second'));
    await expect(cache.getOrSet('key', () => 'anew')).resolves.toBe('anew');
    reject(new Error('aborted upstream'));
    await clock.settle();
    expect(log).toEqual(['cache.miss', 'cache.miss', 'cache.computed', 'cache.unstored abandoned']);
    expect(cache.peek('key')).toBe('anew');
  });

  it('keeps nothing of a computation that lands after everybody left, be it cut short or deleted since', async () => {
    const { cache, clock, log } = setUp();
    const { compute, resolve } = deferred<string>();
    const leaving = new AbortController();
    const left = cache.getOrSet('key', compute, { signal: leaving.signal });
    await clock.settle();
    leaving.abort();
    await expect(left).rejects.toThrow();
    await cache.delete('key');
    resolve('half of the va');
    await clock.settle();
    expect(cache.peek('key')).toBeUndefined();
    expect(log).toEqual(['cache.miss', 'cache.computed', 'cache.unstored abandoned']);
  });

  it('begins nothing for a caller who has left before asking', async () => {
    const { cache, clock } = setUp();
    const compute = vi.fn(() => 1);
    const reason = new Error('gone');
    await expect(cache.getOrSet('key', compute, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await expect(
      runInContext({ signal: AbortSignal.abort(reason) }, () => cache.getOrSet('key', compute)),
    ).rejects.toBe(reason);
    await clock.settle();
    expect(compute).not.toHaveBeenCalled();
  });

  it('follows the signal of the running context as well', async () => {
    const { cache, clock } = setUp();
    const { compute, signals } = deferred<string>();
    const request = new AbortController();
    const wait = runInContext({ signal: request.signal }, () => cache.getOrSet('key', compute));
    await clock.settle();
    request.abort(new Error('client left'));
    await expect(wait).rejects.toThrow('client left');
    expect(signals[0]?.aborted).toBe(true);
  });

  it('ends a caller’s waiting at its deadline, and lets others wait on', async () => {
    const { cache, clock } = setUp();
    const { compute, resolve, signals } = deferred<string>();
    const hurried = runInContext({ deadline: 100 }, () => cache.getOrSet('key', compute));
    const patient = cache.getOrSet('key', compute);
    hurried.catch(() => {});
    await clock.advance(99);
    expect(signals[0]?.aborted).toBe(false);
    await clock.advance(1);
    await expect(hurried).rejects.toMatchObject({ code: 'WP_DEADLINE' });
    expect(signals[0]?.aborted).toBe(false);
    resolve('value');
    await expect(patient).resolves.toBe('value');
    await expect(runInContext({ deadline: 50 }, () => cache.getOrSet('other', compute))).rejects.toMatchObject({
      code: 'WP_DEADLINE',
    });
    expect(clock.pending).toBe(0);
  });

  it('does not hand the first caller’s signal or deadline down to the computation, but does its tenant', async () => {
    const { cache } = setUp();
    const { currentContext } = await import('../kernel/index.js');
    const request = new AbortController();
    const inside = await runInContext({ signal: request.signal, deadline: 5_000, tenant: 'acme' }, () =>
      cache.getOrSet(
        'key',
        ({ signal }) => {
          const context = currentContext();
          return {
            deadline: context?.deadline,
            tenant: context?.tenant,
            own: context?.signal === signal && signal !== request.signal,
          };
        },
        {},
      ),
    );
    expect(inside).toEqual({ deadline: undefined, tenant: 'acme', own: true });
  });

  it('leaves no listener on a signal that lives longer than 1,000 calls', async () => {
    const { cache, clock } = setUp();
    const shutdown = new AbortController();
    const request = new AbortController();
    for (let call = 0; call < 1_000; call++) {
      await runInContext({ signal: request.signal, deadline: 1e9 }, async () => {
        await cache.getOrSet(call, () => call, { signal: shutdown.signal });
        await cache.getOrSet(call, () => call, { signal: shutdown.signal });
        await cache
          .getOrSet([call], () => Promise.reject(new Error('no')), { signal: shutdown.signal })
          .catch(() => {});
      });
    }
    expect(getEventListeners(shutdown.signal, 'abort')).toHaveLength(0);
    expect(getEventListeners(request.signal, 'abort')).toHaveLength(0);
    expect(clock.pending).toBe(0);
  });
});

describe('delete', () => {
  it('forgets a value', async () => {
    const { cache } = setUp();
    await cache.getOrSet('key', () => 1);
    await cache.delete('key');
    expect(cache.peek('key')).toBeUndefined();
    expect(await cache.getOrSet('key', () => 2)).toBe(2);
  });

  it('during a computation gives its callers their answer, keeps nothing of it, and lets newcomers begin anew', async () => {
    const { cache, clock, log } = setUp();
    const old = deferred<string>();
    const fresh = deferred<string>();
    const before = cache.getOrSet('key', old.compute);
    await clock.settle();
    await cache.delete('key');
    const after = cache.getOrSet('key', fresh.compute);
    await clock.settle();
    old.resolve('old');
    await expect(before).resolves.toBe('old');
    expect(cache.peek('key')).toBeUndefined();
    const joins = cache.resolve('key', fresh.compute);
    fresh.resolve('new');
    await expect(after).resolves.toBe('new');
    expect(await joins).toMatchObject({ value: 'new', level: 'shared' });
    expect(cache.peek('key')).toBe('new');
    expect(log).toEqual([
      'cache.miss',
      'cache.miss',
      'cache.computed',
      'cache.unstored invalidated',
      'cache.computed',
      'cache.hit shared',
      'cache.hit memory',
    ]);
  });
});

describe('options', () => {
  it.each([
    [{}, 'name'],
    [{ name: '' }, 'name'],
    [{ name: 'x', ttl: 0 }, 'ttl'],
    [{ name: 'x', ttl: '5 minutes' }, 'ttl'],
    [{ name: 'x', maxEntries: 0 }, 'maxEntries'],
    [{ name: 'x', maxEntries: 1.5 }, 'maxEntries'],
    [{ name: 'x', scope: 'global' }, 'scope'],
    [{ name: 'x', store: {} }, 'store'],
    [{ name: 'x', storeTimeout: -1 }, 'storeTimeout'],
    [{ name: 'x', clock: {} }, 'clock'],
    [{ name: 'x', maxEntry: 5 }, 'maxEntry'],
  ])('refuses %j, naming %s', (options, name) => {
    expect(() => createCache(options as CacheOptions)).toThrow(
      expect.objectContaining({ code: 'WP_BAD_OPTION', message: expect.stringContaining(`'${name}'`) }),
    );
  });
});
