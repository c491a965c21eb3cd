import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { runInContext } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { createLimiter, type Decision, type LimiterEvent, type LimiterOptions, type TakeCall } from './index.js';

function setUp(options: Partial<LimiterOptions> = {}) {
  const clock = createFakeClock();
  const events: LimiterEvent[] = [];
  const onEvent = (event: LimiterEvent): void => void events.push(event);
  const single = options.limits ? {} : { limit: 10, window: '1s' as const };
  const limiter = createLimiter({ name: 'test', ...single, clock, onEvent, ...options });
  return { clock, events, limiter };
}

/** Whether a promise has been settled, once all that is ready has run. */
function watch<T>(promise: Promise<T>) {
  const seen: { value?: T; error?: unknown } = {};
  promise.then(
    (value) => {
      seen.value = value;
    },
    (error: unknown) => {
      seen.error = error;
    },
  );
  return seen;
}

describe('tryTake', () => {
  it('lets the whole limit through at once, and no more until a window has passed since', async () => {
    const { limiter, clock } = setUp({ limit: 3, window: '1s' });
    const taken = (): boolean[] => Array.from({ length: 4 }, () => limiter.tryTake().ok);
    expect(taken()).toEqual([true, true, true, false]);
    await clock.advance(999);
    expect(limiter.tryTake()).toMatchObject({ ok: false, reason: 'quota', waitMs: 1 });
    await clock.advance(1);
    expect(taken()).toEqual([true, true, true, false]);
  });

  it('spaces what exceeds the burst evenly', async () => {
    const { limiter, clock } = setUp({ limit: 100, window: '1s', burst: 1 });
    const at: number[] = [];
    for (let ms = 0; ms < 100; ms++) {
      if (limiter.tryTake().ok) at.push(ms);
      await clock.advance(1);
    }
    // One for each 10.26 ms, so that any second holds 99 at most, and here somebody looks once in a millisecond.
    expect(at).toEqual([0, 11, 22, 33, 44, 55, 66, 77, 88, 99]);
  });

  it('says what is left, when all of it is there again, and who counted', async () => {
    const { limiter, clock } = setUp({ limit: 2, window: '1s' });
    const common = { limit: 2, dimension: 'requests/1s', decidedBy: 'memory' };
    expect(limiter.tryTake()).toMatchObject({ ok: true, remaining: 1, resetMs: 1_000, ...common });
    await clock.advance(500);
    expect(limiter.tryTake()).toMatchObject({ ok: true, remaining: 0, resetMs: 1_000, ...common });
    expect(limiter.tryTake()).toMatchObject({
      ok: false,
      reason: 'quota',
      remaining: 0,
      waitMs: 500,
      resetMs: 1_000,
      ...common,
    });
  });

  it('counts each key apart, and takes nothing when it refuses', () => {
    const { limiter } = setUp({ limit: 10 });
    expect(limiter.tryTake('a', 9).ok).toBe(true);
    for (let knock = 0; knock < 100; knock++)
      expect(limiter.tryTake('a', 5)).toMatchObject({ ok: false, waitMs: 1_000 });
    expect([limiter.tryTake('a', 1).ok, limiter.tryTake('b', 10).ok, limiter.tryTake().ok]).toEqual([true, true, true]);
  });

  it('charges a refusal where it is to be penalised', async () => {
    const { limiter, clock } = setUp({ limit: 1, window: '1s', penalise: true });
    limiter.tryTake();
    await clock.advance(900);
    expect(limiter.tryTake()).toMatchObject({ ok: false, waitMs: 1_000 });
    await clock.advance(999);
    expect(limiter.tryTake().ok).toBe(false);
  });

  it('takes fractions of a unit, and nothing for a cost of 0, which always passes', () => {
    const { limiter } = setUp({ limit: 1 });
    expect(limiter.tryTake('', 0.75)).toMatchObject({ ok: true, remaining: 0 });
    expect(limiter.tryTake('', 0.5).ok).toBe(false);
    expect(limiter.tryTake('', 0.25).ok).toBe(true);
    expect(limiter.tryTake('', 0.001).ok).toBe(false);
    expect(limiter.tryTake('', 0).ok).toBe(true);
  });

  it('calls impossible what is above the limit or the burst, however much is left', () => {
    const impossible = { ok: false, reason: 'impossible', waitMs: Number.POSITIVE_INFINITY };
    const { limiter } = setUp({ limit: 10, burst: 3 });
    expect(limiter.tryTake('', 3.5)).toMatchObject({ ...impossible, resetMs: 0 });
    limiter.tryTake('', 3);
    expect(limiter.tryTake('', 4)).toMatchObject(impossible);
    expect(setUp({ limit: 10 }).limiter.tryTake('', 10.5)).toMatchObject(impossible);
    expect(setUp({ limit: 10 }).limiter.tryTake('', Number.POSITIVE_INFINITY)).toMatchObject(impossible);
  });

  it('lets one request through at a time where the limit is below one in a window', async () => {
    const { limiter, clock } = setUp({ limit: 0.5, window: '1s' });
    expect(limiter.tryTake().ok).toBe(true);
    expect(limiter.tryTake()).toMatchObject({ ok: false, reason: 'quota', waitMs: 2_000 });
    await clock.advance(2_000);
    expect(limiter.tryTake().ok).toBe(true);
  });

  it.each([{}, Promise.resolve('a'), 5, null])(
    'throws for the key %s, which would give every call an account of its own',
    (key) => {
      expect(() => setUp().limiter.tryTake(key as string)).toThrow(/option 'key' must be a string, got/);
    },
  );

  it.each([
    [-1, /'cost' must be a number from 0 up/],
    [Number.NaN, /'cost' must be a number from 0 up/],
    [{ tokens: -1 }, /'cost.tokens' must be a number from 0 up/],
    [{ token: 1 }, /'cost.token' must be left out, since the units of this limiter are 'requests', 'tokens'/],
    ['5', /'cost' must be a number from 0 up, or numbers by unit/],
  ])('throws for a cost of %j', (cost, message) => {
    expect(() => setUp().limiter.tryTake('', cost as number)).toThrow(message);
  });

  it('reports each decision once, without saying who asked', () => {
    const { limiter, events } = setUp({ limit: 1 });
    limiter.tryTake('somebody');
    limiter.tryTake('somebody');
    const common = { limiter: 'test', dimension: 'requests/1s', remaining: 0, decidedBy: 'memory' };
    expect(events).toEqual([
      { type: 'limiter.allowed', waitedMs: 0, ...common },
      { type: 'limiter.refused', reason: 'quota', waitMs: 1_000, ...common },
    ]);
  });
});

describe('several limits', () => {
  const limits: LimiterOptions['limits'] = [
    { limit: 3, window: '1s' },
    { unit: 'tokens', limit: 1_000, window: '1m' },
    { limit: 5, per: 'day', timeZone: 'UTC' },
  ];

  it('hold together: what one refuses is charged to none, and the one that binds is named', async () => {
    const { limiter, clock } = setUp({ limits });
    expect(limiter.tryTake('', { tokens: 900 })).toMatchObject({ ok: true, dimension: 'tokens/1m', remaining: 100 });
    expect(limiter.tryTake('', { inputTokens: 100, outputTokens: 50 })).toMatchObject({
      ok: false,
      dimension: 'tokens/1m',
      waitMs: 60_000,
    });
    const names = (decision: Decision) => decision.dimensions.map(({ dimension, remaining }) => [dimension, remaining]);
    expect(names(limiter.tryTake('', { tokens: 0 }))).toEqual([
      ['requests/1s', 1],
      ['tokens/1m', 100],
      ['requests/day', 3],
    ]);
    limiter.tryTake();
    expect(limiter.tryTake()).toMatchObject({ ok: false, dimension: 'requests/1s', waitMs: 1_000 });
    await clock.advance(1_000);
    expect([limiter.tryTake().ok, limiter.tryTake().ok]).toEqual([true, true]);
    // Midnight is far off, which is longer than a second.
    expect(limiter.tryTake()).toMatchObject({ ok: false, dimension: 'requests/day', waitMs: 86_400_000 - 1_000 });
  });

  it('refuses what two of them would call the same', () => {
    expect(() => setUp({ limits: [...(limits ?? []), { limit: 7, window: '1s' }] })).toThrow(/different names/);
    expect(() => setUp({ limits: [...(limits ?? []), { name: 'other', limit: 7, window: '1s' }] })).not.toThrow();
  });

  it('take a plain number for the only unit there is', () => {
    const { limiter } = setUp({ limits: [{ unit: 'usd', limit: 5, window: '1d' }] });
    expect(limiter.tryTake('', 4.5)).toMatchObject({ ok: true, dimension: 'usd/1d' });
    expect(limiter.tryTake('', { usd: 0.75 }).ok).toBe(false);
  });
});

describe('take', () => {
  it('gives what there is at once', async () => {
    const { limiter, clock } = setUp();
    expect(await limiter.take()).toMatchObject({ ok: true, remaining: 9 });
    expect(await limiter.take('', 2, { priority: 0 })).toMatchObject({ ok: true, remaining: 7 });
    expect(clock.pending).toBe(0);
  });

  it('waits for its turn, and says how long it has', async () => {
    const { limiter, clock, events } = setUp({ limit: 2, window: '1s' });
    limiter.tryTake('', 2);
    const first = watch(limiter.take('', 2));
    const second = watch(limiter.take('', 1));
    await clock.advance(999);
    expect([first, second]).toEqual([{}, {}]);
    expect(limiter.status().waiting).toBe(2);
    await clock.advance(1);
    expect([first.value?.ok, second.value]).toEqual([true, undefined]);
    await clock.advance(1_000);
    expect(second.value?.ok).toBe(true);
    expect(events.at(-1)).toMatchObject({ type: 'limiter.allowed', waitedMs: 2_000 });
    expect(clock.pending).toBe(0);
  });

  it('is not overtaken by tryTake', async () => {
    const { limiter, clock } = setUp({ limit: 2, window: '1s' });
    limiter.tryTake('', 1);
    await clock.advance(500);
    const waiting = watch(limiter.take('', 2));
    expect(limiter.tryTake('', 1)).toMatchObject({ ok: false, reason: 'quota' });
    await clock.advance(500);
    expect(waiting.value?.ok).toBe(true);
  });

  it('refuses at once who would wait for too long, and says how long that is', async () => {
    const { limiter } = setUp({ limit: 2, window: '1s' });
    limiter.tryTake('', 2);
    expect(await limiter.take('', 1, { timeout: 999 })).toMatchObject({ ok: false, reason: 'deadline', waitMs: 1_000 });
    expect(await limiter.take('', 1, { timeout: 0 })).toMatchObject({ ok: false, reason: 'quota', waitMs: 1_000 });
    void limiter.take('', 2, { timeout: 1_000 });
    // Behind those two it would be the third half second.
    expect(await limiter.take('', 1, { timeout: 1_400 })).toMatchObject({
      ok: false,
      reason: 'deadline',
      waitMs: 1_500,
    });
    const inContext = runInContext({ deadline: 900 }, () => limiter.take('', 1));
    expect(await inContext).toMatchObject({ ok: false, reason: 'deadline' });
  });

  it('refuses when too many wait', async () => {
    const { limiter } = setUp({ limit: 1, maxWaiting: 1, window: '1s' });
    limiter.tryTake();
    void limiter.take();
    expect(await limiter.take()).toMatchObject({ ok: false, reason: 'queue-full' });
  });

  it('lets go of who is aborted, who has spent nothing', async () => {
    const { limiter, clock } = setUp({ limit: 1, window: '1s' });
    limiter.tryTake();
    const controller = new AbortController();
    const left = watch(limiter.take('', 1, { signal: controller.signal }));
    const next = watch(limiter.take());
    await clock.settle();
    controller.abort(new Error('left'));
    await clock.advance(1_000);
    expect(left.error).toEqual(new Error('left'));
    expect(next.value?.ok).toBe(true);
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
    await expect(limiter.take('', 1, { signal: controller.signal })).rejects.toThrow('left');
    await expect(runInContext({ signal: controller.signal }, () => limiter.take())).rejects.toThrow('left');
  });

  it('takes turns by priority, then evenly over tenants', async () => {
    const { limiter, clock } = setUp({ limit: 1, window: '1s', aging: '1d' });
    limiter.tryTake();
    const order: string[] = [];
    const wait = (who: string, tenant: string, priority = 5): void => {
      void limiter.take('', 1, { tenant, priority }).then(() => order.push(who));
    };
    for (const who of ['a1', 'a2', 'a3', 'a4']) wait(who, 'a');
    for (const who of ['b1', 'b2']) wait(who, 'b');
    wait('urgent', 'c', 0);
    await clock.advance(7_000);
    // Who is next when others come has begun to be served.
    expect(order).toEqual(['urgent', 'a1', 'a2', 'b1', 'a3', 'b2', 'a4']);
  });

  it('ends with WP_CLOSED when the limiter is closed', async () => {
    const { limiter, clock } = setUp({ limit: 1 });
    limiter.tryTake();
    const waiting = watch(limiter.take());
    await clock.settle();
    await limiter.close();
    await clock.settle();
    expect(waiting.error).toMatchObject({ code: 'WP_CLOSED' });
    expect(clock.pending).toBe(0);
  });

  it.each([
    [{ timeout: -1 }, 'timeout'],
    [{ priority: 1.5 }, 'priority'],
    [{ priorty: 1 }, 'priorty'],
  ])('rejects for %j', async (call, name) => {
    await expect(setUp().limiter.take('', 1, call as TakeCall)).rejects.toThrow(`'${name}'`);
  });
});

describe('reserve', () => {
  const limits: LimiterOptions['limits'] = [{ unit: 'tokens', limit: 1_000, window: '1m' }];

  it('charges what is expected, and gives back what was not used', async () => {
    const { limiter, events } = setUp({ limits });
    const reservation = await limiter.reserve('', { tokens: 900 });
    if (!reservation.ok) throw new Error('refused');
    expect(limiter.tryTake('', { tokens: 200 }).ok).toBe(false);
    reservation.lease.settle({ tokens: 300 });
    expect(limiter.status().dimensions).toMatchObject([{ used: 300, remaining: 700 }]);
    reservation.lease.settle({ tokens: 0 });
    expect(limiter.status().dimensions).toMatchObject([{ used: 300 }]);
    expect(events.at(-1)).toEqual({
      type: 'limiter.settled',
      limiter: 'test',
      reserved: { tokens: 900 },
      actual: { tokens: 300 },
    });
  });

  it('owes what was used beyond it', async () => {
    const { limiter, clock } = setUp({ limits });
    const reservation = limiter.tryReserve('', { tokens: 100 });
    if (!reservation.ok) throw new Error('refused');
    reservation.lease.settle({ inputTokens: 500, outputTokens: 1_000 });
    expect(limiter.status().dimensions).toMatchObject([{ used: 1_500, remaining: 0 }]);
    expect(limiter.tryTake('', { tokens: 1 })).toMatchObject({ ok: false, waitMs: 60_000 });
    await clock.advance(60_000);
    expect(limiter.tryTake('', { tokens: 1_000 }).ok).toBe(true);
  });

  it('stays as it is once it has expired', async () => {
    const { limiter, clock } = setUp({ limits, leaseTtl: '10s' });
    const reservation = limiter.tryReserve('', { tokens: 900 });
    if (!reservation.ok) throw new Error('refused');
    const { lease } = reservation;
    await clock.advance(9_999);
    expect(lease.leftMs).toBe(1);
    lease.extend('5s');
    await clock.advance(5_000);
    expect(lease.leftMs).toBe(0);
    lease.settle({ tokens: 0 });
    expect(limiter.status().dimensions).toMatchObject([{ used: 900 }]);
  });

  it('gives everything back for a call that was never sent', async () => {
    const { limiter } = setUp({ limits: [...(limits ?? []), { limit: 1, window: '1m' }] });
    const reservation = limiter.tryReserve('', { tokens: 900 });
    if (!reservation.ok) throw new Error('refused');
    reservation.lease.settle(0);
    expect(limiter.status().dimensions).toMatchObject([{ used: 0 }, { used: 0 }]);
  });

  it('wakes who waits for what comes back', async () => {
    const { limiter, clock } = setUp({ limits });
    const reservation = limiter.tryReserve('', { tokens: 1_000 });
    if (!reservation.ok) throw new Error('refused');
    const waiting = watch(limiter.take('', { tokens: 400 }));
    await clock.settle();
    reservation.lease.settle({ tokens: 500 });
    await clock.settle();
    expect(waiting.value?.ok).toBe(true);
  });

  it('holds a place among those at the same time, until it is settled or expires', async () => {
    const { limiter, clock } = setUp({ limits: [{ concurrent: 2 }] });
    const reserve = () => limiter.tryReserve('', 1, { ttl: '10s' });
    const first = reserve();
    await clock.advance(1_000);
    const second = reserve();
    if (!first.ok || !second.ok) throw new Error('refused');
    expect(reserve()).toMatchObject({ ok: false, dimension: 'concurrency', waitMs: 9_000 });
    {
      using lease = second.lease;
      expect(lease.leftMs).toBe(10_000);
    }
    expect([reserve().ok, reserve().ok]).toEqual([true, false]);
    await clock.advance(9_000);
    expect(reserve().ok).toBe(true);
    expect(() => limiter.tryTake()).toThrow(/use reserve\(\)/);
  });

  it('learns how much calls answer, and reserves no more than a limit holds', async () => {
    const { limiter } = setUp({ limits: [{ unit: 'tokens', limit: 5_000, window: '1m' }], leaseTtl: '1s' });
    const estimate = { model: 'm', maxOutputTokens: 8_000 };
    const first = await limiter.reserve('a', { inputTokens: 100 }, { estimate });
    if (!first.ok) throw new Error('refused');
    expect(first.lease.reserved).toEqual({ tokens: 5_000 });
    first.lease.settle({ inputTokens: 100, outputTokens: 80 });
    for (let call = 0; call < 600; call++) {
      const reservation = await limiter.reserve(`key ${call}`, { inputTokens: 100 }, { estimate });
      if (reservation.ok) reservation.lease.settle({ inputTokens: 100, outputTokens: 80 });
    }
    // Cut streams teach nothing.
    for (let call = 0; call < 200; call++) {
      const reservation = await limiter.reserve(`cut ${call}`, { inputTokens: 100 }, { estimate });
      if (reservation.ok) reservation.lease.settle({ inputTokens: 100, outputTokens: 1 }, 'cut');
    }
    const learned = await limiter.reserve('b', { inputTokens: 100 }, { estimate });
    if (!learned.ok) throw new Error('refused');
    expect(learned.lease.reserved.tokens).toBeGreaterThanOrEqual(180);
    expect(learned.lease.reserved.tokens).toBeLessThan(200);
  });
});

describe('observe', () => {
  it('halves the rate on a refusal by the provider, once for all that were under way, and lets it grow again', async () => {
    const { limiter, clock, events } = setUp({ limit: 100, window: '1s' });
    await clock.advance(1_000);
    for (let call = 0; call < 10; call++)
      limiter.observe({ status: 429, sentAt: 900, headers: { 'retry-after': '0' } });
    expect(limiter.status()).toMatchObject({ rate: 0.5, lastChange: { from: 1, to: 0.5, why: 'status 429' } });
    expect(events).toEqual([{ type: 'limiter.rate-changed', limiter: 'test', from: 1, to: 0.5, why: 'status 429' }]);
    let allowed = 0;
    while (limiter.tryTake().ok) allowed++;
    expect(allowed).toBe(50);
    for (let second = 0; second < 200; second++) {
      await clock.advance(1_000);
      while (limiter.tryTake().ok);
      limiter.observe({ status: 200 });
    }
    expect(limiter.status().rate).toBe(1);
  });

  it('keeps to what a provider says is left of a dimension, until its reset', async () => {
    const limits: LimiterOptions['limits'] = [
      { limit: 100, window: '1m' },
      { unit: 'tokens', limit: 10_000, window: '1m' },
    ];
    const { limiter, clock } = setUp({ limits });
    const headers = {
      'x-ratelimit-limit-tokens': '10000',
      'x-ratelimit-remaining-tokens': '500',
      'x-ratelimit-reset-tokens': '20s',
      'x-ratelimit-remaining-requests': 'nonsense',
    };
    limiter.observe({ status: 200, headers });
    expect(limiter.tryTake('', { tokens: 501 })).toMatchObject({ ok: false, dimension: 'tokens/1m' });
    expect(limiter.tryTake('', { tokens: 400 }).ok).toBe(true);
    expect(limiter.tryTake('', { tokens: 0 }).ok).toBe(true);
    await clock.advance(20_000);
    expect(limiter.tryTake('', { tokens: 5_000 }).ok).toBe(true);
  });

  it('waits as long as a refusing provider asks for, and hears of it through fetch', async () => {
    const { limiter, clock } = setUp({ limit: 100, window: '1s' });
    const answer = new Response('slow down', { status: 429, headers: { 'retry-after': '30' } });
    const fetched = await limiter.observing(async () => answer)('https://provider.invalid/');
    expect(fetched).toBe(answer);
    const waiting = watch(limiter.take('', 1));
    await clock.advance(29_999);
    expect(waiting).toEqual({});
    await clock.advance(1);
    expect(waiting.value?.ok).toBe(true);
  });

  it.each([undefined, {}, { 'retry-after': '\u0000', ratelimit: '"', 'x-ratelimit-reset-tokens': '1e999s' }])(
    'is not disturbed by the headers %j',
    (headers) => {
      const { limiter } = setUp();
      limiter.observe({ status: 200, ...(headers && { headers }) });
      expect(limiter.tryTake().ok).toBe(true);
    },
  );
});

describe('maxKeys', () => {
  it('forgets the key unused for longest, which starts anew', () => {
    const { limiter } = setUp({ limit: 1, window: '1h', maxKeys: 2 });
    for (const key of ['a', 'b', 'c']) limiter.tryTake(key);
    expect([limiter.tryTake('b').ok, limiter.tryTake('c').ok, limiter.tryTake('a').ok]).toEqual([false, false, true]);
    expect(limiter.status().keys).toBe(2);
  });
});

describe('options', () => {
  const good = { name: 'x', limit: 1, window: '1s' };
  it.each([
    [{ ...good, name: undefined }, 'name'],
    [{ ...good, limit: 0 }, 'limit'],
    [{ ...good, limit: Number.NaN }, 'limit'],
    [{ ...good, limit: Number.POSITIVE_INFINITY }, 'limit'],
    [{ ...good, window: 0 }, 'window'],
    [{ ...good, window: '1 min' }, 'window'],
    [{ ...good, burst: -1 }, 'burst'],
    [{ ...good, burst: 2 }, 'burst'],
    [{ ...good, limit: 5, burst: 0.5 }, 'burst'],
    [{ ...good, maxKeys: 0 }, 'maxKeys'],
    [{ ...good, maxkeys: 5 }, 'maxkeys'],
    [{ name: 'x', limit: 5 }, 'window'],
    [{ name: 'x' }, 'limit'],
    [{ ...good, limits: [{ limit: 1, window: '1s' }] }, 'limit'],
    [{ name: 'x', limits: [] }, 'limits'],
    [{ name: 'x', limits: [{ limit: 1 }] }, 'window'],
    [{ name: 'x', limits: [{ limit: 1, per: 'year' }] }, 'per'],
    [{ name: 'x', limits: [{ limit: 0.5, per: 'day' }] }, 'limit'],
    [{ name: 'x', limits: [{ limit: 1, per: 'day', timeZone: 'Moon/Sea' }] }, 'timeZone'],
    [{ name: 'x', limits: [{ concurrent: 1.5 }] }, 'concurrent'],
    [{ ...good, onStoreError: 'open' }, 'onStoreError'],
    [{ ...good, store: {} }, 'store'],
    [{ ...good, prefetch: 2 }, 'prefetch'],
    [{ ...good, adaptive: { flor: 1 } }, 'flor'],
    [{ ...good, adaptive: { floor: 0 } }, 'floor'],
  ])('refuses %j, naming %s', (options, name) => {
    expect(() => createLimiter(options as LimiterOptions)).toThrow(
      expect.objectContaining({ code: 'WP_BAD_OPTION', message: expect.stringContaining(`'${name}'`) }),
    );
  });
});
