import type { LimiterStore } from '@warmpath/core';
import { memoryLimits } from '@warmpath/core/testing';
import { describe, expect, it } from 'vitest';
import { limited, statuses } from '../test/limited.js';

const away = (): Promise<never> => Promise.reject(new Error('connection refused'));
const dead: LimiterStore = { name: 'dead', take: away, settle: away, extend: away, peers: away, close: async () => {} };
const never = (): Promise<never> => new Promise(() => {});
const frozen: LimiterStore = { ...dead, name: 'frozen', take: never, peers: never };
const limit = { limit: 2, window: '1m' } as const;

describe('a limit that several processes share', () => {
  it('counts what all of them let through', async () => {
    const store = memoryLimits();
    const [one, other] = await Promise.all([limited({ ...limit, store }), limited({ ...limit, store: store.peer() })]);
    expect(await statuses(one.url, {})).toEqual([200]);
    const second = await fetch(other.url);
    expect([second.status, second.headers.get('ratelimit')]).toEqual([200, '"http";r=0;t=60']);
    for (const { url, runtime } of [one, other]) {
      const refused = await fetch(url);
      expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '60']);
      expect(runtime.snapshot().limiters.http).toMatchObject({ allowed: 1, refused: 1, decidedBy: { store: 2 } });
    }
  });

  it('holds for requests at the same time as well, wherever they are', async () => {
    const store = memoryLimits();
    const limits = [{ concurrent: 1 }];
    const open: { send: (text: string) => unknown }[] = [];
    const one = await limited({ limits, store }, (app) => app.get('/open', (_req, res) => void open.push(res)));
    const other = await limited({ limits, store: store.peer() });
    const first = fetch(`${one.url}/open`);
    await expect.poll(() => open.length).toBe(1);
    expect(await statuses(other.url, {})).toEqual([429]);
    open[0]?.send('done');
    await first;
    await expect.poll(() => statuses(other.url, {})).toEqual([200]);
  });
});

describe('a store that is away', () => {
  it('is a 503 of the registered type where nothing may pass then, and never a 429', async () => {
    const { url, runtime } = await limited({ ...limit, store: dead, onStoreError: 'refuse' });
    for (let asked = 0; asked < 10; asked++) {
      const answer = await fetch(url);
      expect(answer.status).toBe(503);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await answer.json()).toEqual({
        type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
        title: 'Service unavailable',
        status: 503,
        detail: expect.stringMatching(/^Whether 'http' has room cannot be told at the moment\. Try again in \d+ s\.$/),
      });
    }
    expect(runtime.snapshot().limiters.http).toMatchObject({ refused: 10, decidedBy: { none: 10 } });
  });

  it('is waited for no longer than its deadline', async () => {
    const { url, clock } = await limited({ ...limit, store: frozen, onStoreError: 'refuse' });
    const answer = fetch(url);
    await expect.poll(() => clock.pending).toBeGreaterThan(0);
    await clock.advance(50);
    expect((await answer).status).toBe(503);
  });

  it('lets everything pass where that is wished, and counts it apart', async () => {
    const { url, runtime } = await limited({ ...limit, store: dead, onStoreError: 'allow' });
    expect(await statuses(url, {}, {}, {}, {})).toEqual([200, 200, 200, 200]);
    expect(runtime.snapshot().limiters.http).toMatchObject({ allowed: 4, decidedBy: { none: 4 } });
  });

  it('leaves this process to decide by itself otherwise', async () => {
    const { url, runtime } = await limited({ ...limit, store: dead });
    expect(await statuses(url, {}, {}, {})).toEqual([200, 200, 429]);
    expect(runtime.snapshot().limiters.http).toMatchObject({ decidedBy: { local: 3 }, store: { name: 'dead' } });
  });
});
