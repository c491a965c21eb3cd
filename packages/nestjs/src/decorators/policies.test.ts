import { HttpException, Injectable, StreamableFile } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import type { Warmpath } from '@warmpath/core';
import { currentContext, isSpent, markSpent, runInContext } from '@warmpath/core/kernel';
import { FallbackError } from '@warmpath/core/retry';
import { createFakeClock, type FakeClock } from '@warmpath/core/testing';
import { of } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type BatchCall,
  Batched,
  bindWarmpath,
  Cached,
  RateLimited,
  RateLimitedException,
  WARMPATH,
  WarmpathModule,
  WithFallback,
  withCacheReports,
} from '../index.js';

let clock: FakeClock;
let app: TestingModule;
beforeEach(() => {
  clock = createFakeClock();
});
afterEach(() => app?.close());

async function make<T>(type: new () => T): Promise<T> {
  const imports = [WarmpathModule.forRoot({ clock })];
  app = await Test.createTestingModule({ imports, providers: [type] }).compile();
  await app.init();
  return app.get(type);
}

const asTenant = <T>(tenant: string, work: () => T): T => runInContext({ tenant }, work);

describe('@Cached', () => {
  @Injectable()
  class Facts {
    calls = 0;

    @Cached({ key: (id: string) => id, ttl: '1m' })
    async one(id: string, detail: object): Promise<unknown> {
      this.calls++;
      return { id, detail, call: this.calls };
    }

    @Cached()
    async all(...parts: unknown[]): Promise<number> {
      return parts.length + this.calls++;
    }

    @Cached({ scope: 'tenant' })
    async secret(): Promise<string> {
      return `for ${currentContext()?.tenant}`;
    }

    @Cached()
    async unsure(answer: unknown): Promise<unknown> {
      this.calls++;
      return (answer as () => unknown)();
    }

    @Cached({ key: () => 'same' })
    async readOnce(make: () => unknown): Promise<unknown> {
      return make();
    }
  }

  it('computes once for all who ask at the same time, and keeps for the ttl', async () => {
    const facts = await make(Facts);
    const answers = await Promise.all([facts.one('a', {}), facts.one('a', { other: true })]);
    expect(answers).toEqual([answers[0], answers[0]]);
    await clock.advance(59_999);
    await facts.one('a', {});
    expect(facts.calls).toBe(1);
    await clock.advance(1);
    await facts.one('a', {});
    expect(facts.calls).toBe(2);
  });

  it('lets nobody change what others get: what is kept is frozen, and refuses', async () => {
    const facts = await make(Facts);
    const first = (await facts.one('a', {})) as { id: string };
    expect(() => {
      first.id = 'changed';
    }).toThrow(TypeError);
    expect(await facts.one('a', {})).toMatchObject({ id: 'a' });
  });

  it('tells calls apart by all arguments unless a key says otherwise', async () => {
    const facts = await make(Facts);
    expect(await facts.all(1, { a: 1, b: 2 })).toBe(2);
    expect(await facts.all(1, { b: 2, a: 1 })).toBe(2);
    expect(await facts.all(1, { b: 2, a: 2 })).toBe(3);
    await expect(facts.all(() => 1)).rejects.toMatchObject({ code: 'WP_BAD_KEY' });
  });

  it('keeps tenants apart', async () => {
    const facts = await make(Facts);
    expect(await asTenant('a', () => facts.secret())).toBe('for a');
    expect(await asTenant('b', () => facts.secret())).toBe('for b');
    await expect(facts.secret()).rejects.toMatchObject({ code: 'WP_TENANT_REQUIRED' });
  });

  it('refuses what can be read only once, and keeps nothing of it', async () => {
    const facts = await make(Facts);
    const makers: (() => unknown)[] = [
      () => of(1, 2),
      () => new StreamableFile(Buffer.from('x')),
      () => new Response('x'),
      () => new ReadableStream(),
      async function* () {
        yield 1;
      },
      function* () {
        yield 1;
      },
    ];
    for (const maker of makers) {
      await expect(facts.readOnce(maker)).rejects.toMatchObject({ code: 'WP_BAD_OPTION' });
    }
    expect(await facts.readOnce(() => 'plain')).toBe('plain');
  });

  it('tells which caches answered on the way of a piece of work', async () => {
    const facts = await make(Facts);
    const ask = (): Promise<unknown> => facts.one('a', {});
    const cold = await withCacheReports(ask);
    await clock.advance(500);
    const warm = await withCacheReports(ask);
    expect(cold.reports).toEqual([{ cache: 'Facts.one', level: 'computed', ageMs: 0, stale: false }]);
    expect(warm.reports).toEqual([{ cache: 'Facts.one', level: 'memory', ageMs: 500, stale: false }]);
    expect(warm.value).toEqual(cold.value);
  });
});

describe('@RateLimited', () => {
  @Injectable()
  class Calls {
    ran = 0;
    @RateLimited({ limit: 2, window: '10s', key: (user: string) => user })
    async byUser(_user: string): Promise<number> {
      return ++this.ran;
    }
    @RateLimited({ limit: 1, window: '10s' })
    async byTenant(): Promise<number> {
      return ++this.ran;
    }
  }

  it('rejects past the limit with 429, the decision and the headers, and does not run the method', async () => {
    const calls = await make(Calls);
    await calls.byUser('ann');
    await calls.byUser('ann');
    const refused = await calls.byUser('ann').catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(RateLimitedException);
    expect(refused).toBeInstanceOf(HttpException);
    expect((refused as RateLimitedException).getStatus()).toBe(429);
    expect((refused as RateLimitedException).getResponse()).toEqual({
      statusCode: 429,
      error: 'Too Many Requests',
      message: 'The limit is 2 in 10 s. Try again in 10 s.',
      retryAfterMs: 10_000,
    });
    expect(refused).toMatchObject({
      limiter: 'Calls.byUser',
      decision: { ok: false, reason: 'quota', waitMs: 10_000 },
      headers: {
        'Retry-After': '10',
        RateLimit: '"default";r=0;t=10',
        'RateLimit-Policy': '"default";q=2;w=10',
      },
    });
    expect(calls.ran).toBe(2);
    await calls.byUser('bob');
    await clock.advance(10_000);
    await calls.byUser('ann');
    expect(calls.ran).toBe(4);
  });

  it.each([
    ['an object', () => ({ id: 7 })],
    ['a number', () => 7],
    ['undefined', () => undefined],
    ['a promise', async () => 'ann'],
    ['a promise', () => Promise.reject(new Error('no user'))],
  ])('refuses a key that is %s, which would be one client for all or a new one each time', async (what, key) => {
    const calls = await make(Calls);
    await expect(calls.byUser(key() as never)).rejects.toMatchObject({
      code: 'WP_BAD_OPTION',
      message: `@RateLimited() on Calls.byUser: the function 'key' must return a string, and returned ${what}.`,
    });
    expect(calls.ran).toBe(0);
  });

  it('counts for the tenant of the request when there is no key', async () => {
    const calls = await make(Calls);
    await asTenant('a', () => calls.byTenant());
    await asTenant('b', () => calls.byTenant());
    await expect(asTenant('a', () => calls.byTenant())).rejects.toThrow(RateLimitedException);
    expect((app.get(WARMPATH) as Warmpath).snapshot().limiters).toMatchObject({
      'Calls.byTenant': { allowed: 2, refused: 1, keys: 2 },
    });
  });
});

describe('@Batched', () => {
  @Injectable()
  class Embedder {
    readonly batches: { items: string[]; tenant: string | undefined }[] = [];

    @Batched({ run: 'embedMany', maxItems: 3, window: '10ms' })
    async embed(text: string): Promise<number> {
      return text.length;
    }

    async embedMany(texts: string[]): Promise<(number | Error)[]> {
      this.batches.push({ items: texts, tenant: currentContext()?.tenant });
      if (texts.includes('down')) throw new Error('the model is down');
      if (texts.includes('short')) return [];
      return texts.map((text) => (text === 'bad' ? new Error('bad text') : text.length));
    }

    @Batched({ run: 'everybody', scope: 'shared', window: 0 })
    async anybody(text: string): Promise<string> {
      return text;
    }

    async everybody(texts: string[]): Promise<string[]> {
      this.batches.push({ items: texts, tenant: currentContext()?.tenant });
      return texts;
    }
  }

  it('packs calls by count and by time, and each gets its own result', async () => {
    const embedder = await make(Embedder);
    const full = Promise.all(['a', 'bb', 'ccc', 'dddd'].map((text) => embedder.embed(text)));
    await clock.advance(10);
    expect(await full).toEqual([1, 2, 3, 4]);
    expect(embedder.batches.map(({ items }) => items)).toEqual([['a', 'bb', 'ccc'], ['dddd']]);
  });

  it('lets one bad item fail alone', async () => {
    const embedder = await make(Embedder);
    const outcomes = await Promise.allSettled(['a', 'bad', 'ccc'].map((text) => embedder.embed(text)));
    expect(
      outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : String(outcome.reason))),
    ).toEqual([1, 'Error: bad text', 3]);
  });

  it('never mixes tenants, and a batch of one tenant that fails fails alone', async () => {
    const embedder = await make(Embedder);
    const outcomes = Promise.allSettled([
      asTenant('a', () => embedder.embed('x')),
      asTenant('b', () => embedder.embed('down')),
      asTenant('a', () => embedder.embed('yy')),
    ]);
    await clock.advance(10);
    expect((await outcomes).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(embedder.batches).toEqual([
      { items: ['x', 'yy'], tenant: 'a' },
      { items: ['down'], tenant: 'b' },
    ]);
  });

  it('runs the items of nobody for nobody, also beside those of a tenant', async () => {
    const embedder = await make(Embedder);
    const both = Promise.all([asTenant('a', () => embedder.embed('x')), embedder.embed('y')]);
    await clock.advance(10);
    await both;
    expect(embedder.batches.map(({ tenant }) => tenant)).toEqual(['a', undefined]);
  });

  it('fills a batch for each tenant', async () => {
    const embedder = await make(Embedder);
    const asked = ['x', 'y'].map((text) => asTenant('a', () => embedder.embed(text)));
    await Promise.all([...asked, ...['1', '2', '3'].map((text) => asTenant('b', () => embedder.embed(text)))]);
    expect(embedder.batches).toEqual([
      { items: ['x', 'y'], tenant: 'a' },
      { items: ['1', '2', '3'], tenant: 'b' },
    ]);
  });

  it('never mixes instances, also of one class', async () => {
    const embedder = await make(Embedder);
    const other = bindWarmpath(new Embedder(), app.get(WARMPATH) as Warmpath);
    const work = [
      embedder.embed('a'),
      other.embed('bb'),
      embedder.embed('ccc'),
      embedder.anybody('d'),
      other.anybody('e'),
    ];
    await clock.advance(10);
    await Promise.all(work);
    expect(embedder.batches.map(({ items }) => items)).toEqual([['a', 'ccc'], ['d']]);
    expect(other.batches.map(({ items }) => items)).toEqual([['bb'], ['e']]);
  });

  it('mixes them when asked to', async () => {
    const embedder = await make(Embedder);
    const both = Promise.all([asTenant('a', () => embedder.anybody('x')), asTenant('b', () => embedder.anybody('y'))]);
    await clock.advance(0);
    expect(await both).toEqual(['x', 'y']);
    expect(embedder.batches).toEqual([{ items: ['x', 'y'], tenant: undefined }]);
  });

  it('takes the limits, the key and the forms of results of a batcher, of whatever the method takes', async () => {
    class Weigher {
      readonly batches: string[][] = [];

      @Batched({
        run: 'weighMany',
        weight: (text: string) => text.length,
        maxWeight: 4,
        key: (text: string) => text.toLowerCase(),
        classify: (_error, texts: readonly string[]) => (texts.length > 1 ? 'composition' : 'global'),
      })
      async weigh(text: string): Promise<number> {
        return text.length;
      }

      async weighMany(texts: string[], { settle }: BatchCall<number>): Promise<Map<string, number>> {
        this.batches.push(texts);
        if (texts.includes('bad')) throw new Error('bad');
        settle(0, 100);
        return new Map(texts.map((text) => [text.toLowerCase(), text.length]));
      }
    }
    const weigher = bindWarmpath(new Weigher(), app.get(WARMPATH) as Warmpath);
    const outcomes = await Promise.allSettled(['aa', 'AA', 'bb', 'c', 'bad'].map((text) => weigher.weigh(text)));
    expect(outcomes).toEqual([
      { status: 'fulfilled', value: 100 },
      { status: 'fulfilled', value: 100 },
      { status: 'fulfilled', value: 2 },
      { status: 'fulfilled', value: 100 },
      { status: 'rejected', reason: new Error('bad') },
    ]);
    expect(weigher.batches).toEqual([['aa', 'bb'], ['c', 'bad'], ['c'], ['bad']]);
  });

  it('says so when the batch method returns a result too few', async () => {
    const embedder = await make(Embedder);
    const lone = embedder.embed('short');
    const outcome = expect(lone).rejects.toMatchObject({
      code: 'WP_BATCH_MISMATCH',
      message: expect.stringContaining('Embedder.embed'),
    });
    await clock.advance(10);
    await outcome;
  });
});

describe('@WithFallback', () => {
  const notFound = new HttpException('gone', 404);
  const ofChainInside = new FallbackError('models', [{ step: 'gpt', error: notFound, ms: 0 }], 1);

  @Injectable()
  class Captions {
    down: Error | undefined = new Error('model down');
    log: string[] = [];

    @WithFallback({ to: 'measured' })
    @Cached()
    async caption(id: string): Promise<string> {
      this.log.push(`model ${id}`);
      if (this.down) throw this.down;
      return `model: ${id}`;
    }

    async measured(id: string): Promise<string> {
      this.log.push(`measured ${id}`);
      return `measured: ${id}`;
    }

    @WithFallback({
      to: (id: string) => `plain: ${id}`,
      when: (error) => error !== notFound && error !== ofChainInside,
    })
    async picky(_id: string): Promise<string> {
      throw this.down;
    }
  }

  it('answers with the substitute, which outside of @Cached is not kept', async () => {
    const captions = await make(Captions);
    expect(await captions.caption('a')).toBe('measured: a');
    captions.down = undefined;
    expect(await captions.caption('a')).toBe('model: a');
    captions.down = new Error('down again');
    expect(await captions.caption('a')).toBe('model: a');
    expect(captions.log).toEqual(['model a', 'measured a', 'model a']);
    expect((app.get(WARMPATH) as Warmpath).snapshot().fallbacks).toEqual({ 'Captions.caption': { used: 1 } });
  });

  it('takes a function and lets an error through that is no reason', async () => {
    const captions = await make(Captions);
    expect(await captions.picky('a')).toBe('plain: a');
    for (const error of [notFound, ofChainInside]) {
      captions.down = error;
      await expect(captions.picky('a')).rejects.toBe(error);
    }
  });

  it('does not hide behind the error of the substitute that our own retries are spent', async () => {
    const down = new Error('The model is down.');
    class Gone {
      @WithFallback({ to: 'spare' })
      async once(): Promise<string> {
        throw down;
      }
      @WithFallback({ to: 'spare' })
      async thrice(): Promise<string> {
        throw markSpent(new Error('The model is down.'));
      }
      async spare(): Promise<string> {
        throw new Error('The disk is full.');
      }
    }
    const gone = await make(Gone);
    const [once, thrice] = await Promise.all([gone.once(), gone.thrice()].map((call) => call.catch((error) => error)));
    expect([once, thrice]).toMatchObject([{ message: 'The disk is full.' }, { message: 'The disk is full.' }]);
    expect([isSpent(once), isSpent(thrice)]).toEqual([false, true]);
  });

  it('does not answer a caller who has left', async () => {
    const captions = await make(Captions);
    const caller = new AbortController();
    const left = runInContext({ signal: caller.signal }, () => captions.caption('a'));
    caller.abort();
    await expect(left).rejects.toMatchObject({ name: 'AbortError' });
    expect(captions.log).toEqual(['model a']);
  });
});

describe('options', () => {
  it('are checked when the class is read', () => {
    expect(() => Cached({ ttl: '5 minutes' as never })).toThrow("@Cached(): option 'ttl'");
    expect(() => Cached({ tll: '5m' } as never)).toThrow("did you mean 'ttl'");
    expect(() => RateLimited({ window: '1s' } as never)).toThrow("option 'limit' must be given, or 'limits' instead");
    expect(() => RateLimited({ limits: [{ limit: 1 }] } as never)).toThrow("option 'window' must be");
    expect(() => RateLimited({ limit: 1, window: '1s', weight: () => 1 } as never)).toThrow("no option 'weight'");
    expect(() => RateLimited({ plans: { free: [] }, plan: () => 'free' })).toThrow("option 'plans' must be a list");
    expect(() => RateLimited({ plans: { free: [{ limit: 0, window: '1s' }] }, plan: () => 'free' })).toThrow("'limit'");
    expect(() => RateLimited({ plans: { free: [{ limit: 1, window: '1s' }] } })).toThrow("'plan' must be given beside");
    expect(() => RateLimited({ plan: () => 'free' })).toThrow("option 'plans' must be given beside 'plan'");
    expect(() => Cached({ clock } as never)).toThrow("there is no option 'clock'");
    expect(() => RateLimited({ limit: 1, window: '1s', onEvent: () => {} } as never)).toThrow("no option 'onEvent'");
    expect(() => Batched({ run: 'many', apart: () => 1 } as never)).toThrow("there is no option 'apart'");
    expect(() => Batched({} as never)).toThrow("@Batched(): option 'run'");
    expect(() => WithFallback({ to: 7 } as never)).toThrow("@WithFallback(): option 'to'");
    expect(() => WarmpathModule.forRoot({ strickt: true } as never)).not.toThrow(); // providers check, at the start
  });
});
