import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import type { Warmpath, WarmpathEvent, WarmpathOptions } from '@warmpath/core';
import type { Cache } from '@warmpath/core/cache';
import { runInContext } from '@warmpath/core/kernel';
import { type SqliteStore, sqliteStore } from '@warmpath/core/sqlite';
import { createFakeClock, type FakeClock } from '@warmpath/core/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Cached, WARMPATH, WarmpathModule, withCacheReports } from '../index.js';

let clock: FakeClock;
const apps: TestingModule[] = [];
beforeEach(() => {
  clock = createFakeClock();
});
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
});

interface Started<T> {
  readonly provider: T;
  cache(name: string): Cache;
}

async function start<T>(type: new () => T, options: WarmpathOptions = {}): Promise<Started<T>> {
  const imports = [WarmpathModule.forRoot({ clock, ...options })];
  const app = await Test.createTestingModule({ imports, providers: [type] }).compile();
  await app.init();
  apps.push(app);
  const runtime = app.get<Warmpath>(WARMPATH);
  return { provider: app.get(type), cache: (name) => runtime.cache(name) };
}

/** Lets what goes on in the background come to its end. */
const settled = (): Promise<void> => clock.advance(0);

describe('tags', () => {
  @Injectable()
  class Users {
    asked: string[] = [];

    @Cached({ name: 'profiles', key: (id: string) => id, tags: (id: string, team: string) => [`user:${id}`, team] })
    async profile(id: string, team: string): Promise<string> {
      this.asked.push(id);
      return `${id} of ${team}, ${this.asked.length}`;
    }

    @Cached({ name: 'lists', tags: ['lists'] })
    async list(page: number): Promise<string> {
      this.asked.push(`page ${page}`);
      return `page ${page}, ${this.asked.length}`;
    }

    @Cached({ name: 'untagged' })
    async untagged(): Promise<number> {
      return this.asked.push('untagged');
    }

    @Cached({ name: 'wrong', tags: () => 'not a list' as never })
    async wrong(): Promise<void> {}
  }

  it('of the arguments forget what has them, for every tenant, and nothing else', async () => {
    const { provider, cache } = await start(Users);
    const ask = (id: string, team: string) => provider.profile(id, team);
    await ask('ann', 'red');
    await ask('bob', 'red');
    await runInContext({ tenant: 'elsewhere' }, () => ask('ann', 'red'));
    expect(await cache('profiles').invalidateTags(['user:ann'])).toEqual({ deferred: false });
    expect(await ask('bob', 'red')).toBe('bob of red, 2');
    expect(await ask('ann', 'red')).toBe('ann of red, 4');
    expect(await runInContext({ tenant: 'elsewhere' }, () => ask('ann', 'red'))).toBe('ann of red, 5');
    await cache('profiles').invalidateTags(['red']);
    await ask('ann', 'red');
    await ask('bob', 'red');
    expect(provider.asked).toEqual(['ann', 'bob', 'ann', 'ann', 'ann', 'ann', 'bob']);
  });

  it('in a list are those of every answer, and of this cache alone', async () => {
    const { provider, cache } = await start(Users);
    await provider.list(1);
    await provider.list(2);
    await provider.untagged();
    await cache('lists').invalidateTags(['lists']);
    expect([await provider.list(1), await provider.list(2)]).toEqual(['page 1, 4', 'page 2, 5']);
    expect(await provider.untagged()).toBe(3);
  });

  it('invalidated while the method runs: those who wait get its answer, and it is not kept', async () => {
    const gate = Promise.withResolvers<void>();
    @Injectable()
    class Slow {
      calls = 0;
      @Cached({ name: 'slow', tags: ['all'] })
      async answer(): Promise<number> {
        const call = ++this.calls;
        await gate.promise;
        return call;
      }
    }
    const { provider, cache } = await start(Slow);
    const before = provider.answer();
    await settled();
    await cache('slow').invalidateTags(['all']);
    const after = provider.answer();
    gate.resolve();
    expect([await before, await after, await provider.answer()]).toEqual([1, 2, 2]);
  });

  it('that are no list reject the call', async () => {
    const { provider } = await start(Users);
    await expect(provider.wrong()).rejects.toMatchObject({ code: 'WP_BAD_OPTION' });
  });
});

describe('what is past its ttl', () => {
  @Injectable()
  class Rates {
    calls = 0;
    down = false;

    @Cached({ name: 'graced', ttl: '1m', grace: '1h' })
    async graced(currency: string): Promise<string> {
      return this.#answer(currency);
    }

    @Cached({ name: 'refreshed', ttl: '1m', staleWhileRevalidate: '1h' })
    async refreshed(currency: string): Promise<string> {
      return this.#answer(currency);
    }

    #answer(currency: string): string {
      this.calls++;
      if (this.down) throw new TypeError('the bank is closed');
      return `${currency} ${this.calls}`;
    }
  }

  it('stands in when the method fails, for its grace, and the report says so', async () => {
    const { provider } = await start(Rates);
    await provider.graced('EUR');
    provider.down = true;
    await clock.advance(60_000);
    const { value, reports } = await withCacheReports(() => provider.graced('EUR'));
    expect(value).toBe('EUR 1');
    expect(reports).toEqual([{ cache: 'graced', level: 'memory', ageMs: 60_000, stale: 'failed' }]);
    await provider.graced('EUR');
    expect(provider.calls).toBe(2); // it is not tried again for a second
    await clock.advance(3_600_000);
    await expect(provider.graced('EUR')).rejects.toThrow('the bank is closed');
    await expect(provider.graced('USD')).rejects.toThrow('the bank is closed');
  });

  it('is served at once while the method runs in the background, and the report says so', async () => {
    const { provider } = await start(Rates);
    await provider.refreshed('EUR');
    await clock.advance(60_000);
    const { value, reports } = await withCacheReports(() => provider.refreshed('EUR'));
    expect([value, reports[0]?.stale]).toEqual(['EUR 1', 'revalidating']);
    await settled();
    expect(await provider.refreshed('EUR')).toBe('EUR 2');
  });

  it('can be made so by hand: the list of the arguments is the key where none is given', async () => {
    const { provider, cache } = await start(Rates);
    await provider.graced('EUR');
    await cache('graced').expire(['EUR']);
    expect(await provider.graced('EUR')).toBe('EUR 2');
    provider.down = true;
    await cache('graced').expire(['EUR']);
    expect(await provider.graced('EUR')).toBe('EUR 2'); // expired, but kept to stand in
    await cache('graced').delete(['EUR']);
    await expect(provider.graced('EUR')).rejects.toThrow('the bank is closed');
  });

  it('counts in the snapshot', async () => {
    const { provider } = await start(Rates);
    await provider.refreshed('EUR');
    await clock.advance(60_000);
    await provider.refreshed('EUR');
    await settled();
    const runtime = apps[0]?.get<Warmpath>(WARMPATH);
    expect(runtime?.snapshot().caches.refreshed).toMatchObject({ staleHits: 1, refreshes: 1, misses: 1, hitRate: 0.5 });
  });
});

describe('options of the cache', () => {
  class Point {
    readonly x: number;
    constructor(x: number) {
      this.x = x;
    }
    double(): number {
      return this.x * 2;
    }
  }

  @Injectable()
  class Values {
    calls = 0;
    @Cached({ name: 'frozen' })
    async frozen(): Promise<{ list: number[] }> {
      return { list: [1] };
    }
    @Cached({ name: 'bytes' })
    async bytes(): Promise<Float32Array> {
      return new Float32Array([0.5]);
    }
    @Cached({ name: 'copied', isolation: 'copy' })
    async copied(): Promise<{ list: number[] }> {
      return { list: [1] };
    }
    @Cached({ name: 'shared', isolation: 'shared' })
    async shared(): Promise<Point> {
      return new Point(21);
    }
    @Cached({ name: 'negative', ttl: '1h', negativeTtl: '10s' })
    async find(id: string): Promise<string | undefined> {
      this.calls++;
      return id === 'there' ? id : undefined;
    }
    @Cached({ name: 'audited', audit: true, key: (id: string) => id })
    async audited(id: string): Promise<string> {
      return id;
    }
  }

  it("isolation: 'frozen' gives all the same frozen answer, 'copy' each its own, 'shared' the instance itself", async () => {
    const { provider } = await start(Values);
    const [first, second] = [await provider.copied(), await provider.copied()];
    first.list.push(2);
    expect([second, await provider.copied()]).toEqual([{ list: [1] }, { list: [1] }]);
    const frozen = await provider.frozen();
    expect(() => frozen.list.push(2)).toThrow(TypeError);
    expect(await provider.frozen()).toBe(frozen);
    (await provider.bytes())[0] = 7; // bytes cannot be frozen: each caller has its own
    expect(await provider.bytes()).toEqual(new Float32Array([0.5]));
    const point = await provider.shared();
    expect(point.double()).toBe(42);
    expect(await provider.shared()).toBe(point);
  });

  it('negativeTtl keeps what was not there for its own time', async () => {
    const { provider } = await start(Values);
    const both = async () => [await provider.find('there'), await provider.find('nowhere')];
    expect(await both()).toEqual(['there', undefined]);
    await clock.advance(9_999);
    await both();
    expect(provider.calls).toBe(2);
    await clock.advance(1);
    await both();
    expect(provider.calls).toBe(3);
  });

  it('audit says who has read what, and how it ended', async () => {
    const events: WarmpathEvent[] = [];
    const { provider } = await start(Values, { onEvent: (event) => events.push(event) });
    await runInContext({ tenant: 'acme', attributes: { user: 'ann' } }, () => provider.audited('secret'));
    const audit = events.filter((event) => event.type === 'cache.audit');
    expect(audit).toMatchObject([
      { operation: 'write', outcome: 'kept', tenant: 'acme' },
      { operation: 'read', outcome: 'computed', tenant: 'acme', who: { user: 'ann' } },
    ]);
    expect(JSON.stringify(audit)).not.toContain('secret');
  });
});

describe('two apps on one SQLite file', () => {
  @Injectable()
  class Embeddings {
    calls = 0;
    @Cached({ name: 'embeddings', key: (text: string) => text, tags: (text: string) => [text], ttl: '1d' })
    async embed(text: string): Promise<Float32Array> {
      return new Float32Array([text.length, ++this.calls]);
    }
  }

  let folder = '';
  const stores: SqliteStore[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'warmpath-nest-'));
  });
  afterEach(async () => {
    for (const app of apps.splice(0)) await app.close();
    for (const store of stores.splice(0)) await store.close();
    rmSync(folder, { recursive: true });
  });

  const startOn = (): Promise<Started<Embeddings>> => {
    const store = sqliteStore({ file: join(folder, 'shared.sqlite'), clock });
    stores.push(store);
    return start(Embeddings, { cache: { store } });
  };

  it('share what either has computed, and what either forgets', async () => {
    const [one, other] = [await startOn(), await startOn()];
    const asked = async ({ provider }: Started<Embeddings>) => {
      const { value, reports } = await withCacheReports(() => provider.embed('tea'));
      return [value, reports[0]?.level];
    };
    expect(await asked(one)).toEqual([new Float32Array([3, 1]), 'computed']);
    await expect.poll(() => stores[0]?.stats().total.entries).toBe(1); // writes go on in the background
    expect(await asked(other)).toEqual([new Float32Array([3, 1]), 'store']);
    expect(await asked(other)).toEqual([new Float32Array([3, 1]), 'memory']);
    await one.cache('embeddings').invalidateTags(['tea']);
    expect(await asked(other)).toEqual([new Float32Array([3, 1]), 'computed']); // its own first call
    await expect.poll(() => one.cache('embeddings').get('tea')).toMatchObject({ level: 'store' });
    expect(await asked(one)).toEqual([new Float32Array([3, 1]), 'memory']);
    expect([one.provider.calls, other.provider.calls]).toEqual([1, 1]);
  });

  it('keep it when both are gone', async () => {
    await (await startOn()).provider.embed('tea');
    await apps.splice(0)[0]?.close();
    const again = await startOn();
    expect(await again.provider.embed('tea')).toEqual(new Float32Array([3, 1]));
    expect(again.provider.calls).toBe(0);
  });
});
