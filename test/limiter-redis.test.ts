import { randomUUID } from 'node:crypto';
import type { Dimension, StoreTake, StoreVerdict } from '@warmpath/core/limiter';
import { type RedisLimits, type RedisLimitsOptions, redisLimits } from '@warmpath/core/redis';
import { limiterStoreContract } from '@warmpath/core/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { type RedisCluster, startRedisCluster } from './redis-cluster.js';
import { type SentinelPair, startSentinelPair } from './redis-sentinel.js';
import { type OwnRedis, startOwnRedis, until, whyNoOwnRedis } from './redis-servers.js';

const note = whyNoOwnRedis();
beforeEach(({ skip }) => skip(note !== undefined, note));

type Connection = Parameters<typeof redisLimits>[0];

function open(connection: Connection, options: RedisLimitsOptions = {}): RedisLimits {
  const store = redisLimits(connection, options);
  onTestFinished(() => store.close());
  return store;
}

/** Names that nobody else has: one server serves many cases. */
const newPrefix = (): string => `wp-${randomUUID()}`;

const signal = new AbortController().signal;
const minuteMs = 60_000;

const window = (limit: number, windowMs = minuteMs, unit = 'requests'): Dimension => {
  return { kind: 'window', name: `${unit}/${windowMs}`, unit, limit, windowMs, burst: undefined };
};
const day = (limit: number): Dimension => {
  return { kind: 'calendar', name: 'day', unit: 'requests', limit, per: 'day', timeZone: 'UTC' };
};
const places = (limit: number): Dimension => ({ kind: 'concurrency', name: 'places', unit: 'concurrency', limit });

interface Use {
  readonly dimensions?: readonly Dimension[];
  readonly key?: string;
}

/** Takes of one account, by default with ten a minute. */
function takes(store: RedisLimits, { dimensions = [window(10)], key = 'key' }: Use = {}) {
  const account = { limiter: 'limiter', key, dimensions, signal };
  return {
    take: (amounts: readonly number[] = [1], more: Partial<StoreTake> = {}): Promise<StoreVerdict> =>
      store.take({ ...account, amounts, ...more }),
    settle: ({ at, generation }: StoreVerdict, corrections: readonly number[], leaseId?: string): Promise<void> =>
      store.settle({ ...account, at, generation, corrections, ...(leaseId !== undefined && { leaseId }) }),
    async left(): Promise<readonly number[]> {
      return (await store.take({ ...account, amounts: dimensions.map(() => 0) })).remaining;
    },
  };
}

async function namesOf(redis: OwnRedis, prefix: string): Promise<readonly string[]> {
  return (await redis.command('KEYS', `${prefix}:*`)) as readonly string[];
}

describe.concurrent('the contract, kept by redisLimits', () => {
  describe('over one server', () => {
    let redis: OwnRedis;
    beforeAll(async () => {
      if (!note) redis = await startOwnRedis();
    });
    afterAll(() => redis?.kill());
    contract(() => redis.url);
  });

  describe('over a cluster of three', () => {
    let cluster: RedisCluster;
    beforeAll(async () => {
      if (!note) cluster = await startRedisCluster();
    });
    afterAll(() => cluster?.stop());
    contract(() => ({ rootNodes: cluster.urls.slice(0, 1).map((url) => ({ url })) }));
  });

  function contract(connection: () => Connection): void {
    const stores: RedisLimits[] = [];
    afterAll(() => Promise.all(stores.map((store) => store.close())));
    const openNext = (prefix: string): RedisLimits => {
      const store = redisLimits(connection(), { prefix });
      stores.push(store);
      return store;
    };
    const cases = limiterStoreContract(() => openNext(newPrefix()), {
      makePair() {
        const prefix = newPrefix();
        return [openNext(prefix), openNext(prefix)];
      },
    });
    for (const { name, run } of cases) it.concurrent(name, run);
  }
});

describe('redisLimits', () => {
  let redis: OwnRedis;
  let prefix: string;
  beforeAll(async () => {
    if (!note) redis = await startOwnRedis();
  });
  afterAll(() => redis?.kill());
  beforeEach(() => {
    prefix = newPrefix();
  });
  const use = (options: Use = {}) => takes(open(redis.url, { prefix }), options);

  it('loads its scripts again when the server has lost them', async () => {
    const store = open(redis.url, { prefix });
    const { take, settle, left } = takes(store, { dimensions: [window(10), places(2)] });
    const lease = { id: 'a', ttlMs: minuteMs };
    await redis.command('SCRIPT', 'FLUSH');
    const verdict = await take([4, 1], { lease });
    await redis.command('SCRIPT', 'FLUSH');
    expect(await store.peers(signal)).toBe(1);
    await redis.command('SCRIPT', 'FLUSH');
    await Promise.all([settle(verdict, [-3, 0], 'a'), take([1, 0])]);
    expect(await left()).toEqual([8, 2]);
  });

  it('decides what is asked at once in a few calls, each take by itself, up to the last unit of every dimension', async () => {
    const dimensions = [window(100), window(1_000, 500, 'tokens'), day(90)];
    const { take, left } = use({ dimensions });
    await left();
    await redis.command('CONFIG', 'RESETSTAT');
    const asked = Array.from({ length: 640 }, (_, index) => [index % 3 === 0 ? 0.5 : 1, 7.25, 1]);
    const verdicts = await Promise.all(asked.map((amounts) => take(amounts)));
    const calls = /calls=(\d+)/.exec((await redis.info()).get('cmdstat_evalsha') ?? '')?.[1];
    expect(Number(calls)).toBe(10);
    const used = dimensions.map((_, index) =>
      asked.reduce((sum, amounts, which) => sum + (verdicts[which]?.ok ? (amounts[index] ?? 0) : 0), 0),
    );
    expect(used[2]).toBe(90);
    expect(verdicts.findLast(({ ok }) => ok)?.remaining).toEqual(
      [100, 1_000, 90].map((all, i) => all - (used[i] ?? 0)),
    );
    expect(verdicts.filter(({ ok }) => !ok).every(({ binding }) => binding === 2)).toBe(true);
  });

  it('asks for the accounts of many keys in one call, and answers each with its own', async () => {
    const store = open(redis.url, { prefix });
    await takes(store).left();
    await redis.command('CONFIG', 'RESETSTAT');
    const keys = Array.from({ length: 60 }, (_, index) => index);
    const left = await Promise.all(
      keys.map(async (index) => {
        const dimensions = index % 2 === 0 ? [window(100), day(500)] : [places(200), window(100, 5_000)];
        const { take } = takes(store, { key: `key ${index}`, dimensions });
        const lease = { id: 'a', ttlMs: 1_000 };
        return (await take(index % 2 === 0 ? [index, 1] : [1, index], { lease })).remaining;
      }),
    );
    expect(left).toEqual(keys.map((index) => (index % 2 === 0 ? [100 - index, 499] : [199, 100 - index])));
    expect((await redis.info()).get('cmdstat_evalsha')).toMatch(/^calls=1,/);
  });

  it('lets everything expire, not before it has ceased to count, and soon afterwards', async () => {
    const store = open(redis.url, { prefix });
    const short = takes(store, { dimensions: [window(10, 2_500), places(2)] });
    const long = takes(store, { dimensions: [window(10, 250), window(5, minuteMs), day(10)], key: 'long' });
    const idle = takes(store, { key: 'idle' });
    await Promise.all([short.take([1, 1], { lease: { id: 'a', ttlMs: 3_000 } }), idle.left(), store.peers(signal)]);
    const { resetMs } = await long.take([1, 1, 1]);
    const names = await namesOf(redis, prefix);
    expect(names).toHaveLength(5);
    const ttls = new Map<string, number>();
    for (const name of names) ttls.set(name, Number(await redis.command('PTTL', name)));
    for (const [name, ttl] of ttls) expect(ttl, name).toBeGreaterThan(0);
    const longest = Math.max(...ttls.values());
    expect(longest).toBeGreaterThan(Math.max(...resetMs));
    expect(longest).toBeLessThanOrEqual(Math.max(...resetMs) + 61_000);
    expect(Array.from(ttls.values()).filter((ttl) => ttl > 5_000)).toHaveLength(1);
    await until('the others have expired', async () => (await namesOf(redis, prefix)).length === 1);
  });

  it('tells who has aborted later what has become of it', async () => {
    const store = open(redis.url, { prefix });
    const controller = new AbortController();
    const account = { limiter: 'limiter', key: 'key', dimensions: [window(10)], signal: controller.signal };
    const verdict = store.take({ ...account, amounts: [4] });
    controller.abort(new Error('too late'));
    expect((await verdict).ok).toBe(true);
    await expect(store.take({ ...account, amounts: [4] })).rejects.toThrow('too late');
    expect(await takes(store).left()).toEqual([6]);
  });

  it('finds a key that somebody else has written to empty', async () => {
    const { take } = use();
    const { generation } = await take([4]);
    const [name = ''] = await namesOf(redis, prefix);
    for (const spoil of [
      ['SET', name, 'nonsense'],
      ['SET', name, 'WPL1'],
    ]) {
      await redis.command(...spoil);
      const verdict = await take([1]);
      expect(verdict.remaining).toEqual([9]);
      expect(verdict.generation).not.toBe(generation);
    }
    await redis.command('DEL', name);
    await redis.command('HSET', name, 'a', 'b');
    expect((await take([1])).remaining).toEqual([9]);
  });

  it('fails nobody who asks in the same turn as one whose places somebody else has written to', async () => {
    const store = open(redis.url, { prefix });
    const [plain, held] = [takes(store), takes(store, { key: 'held', dimensions: [places(2)] })];
    const lease = { id: 'a', ttlMs: minuteMs };
    await held.take([1], { lease });
    const name = (await namesOf(redis, prefix)).find((each) => each.includes(':p:')) ?? '';
    await redis.command('SET', name, 'nonsense');
    const verdicts = await Promise.all([plain.take([4]), held.take([1], { lease }), plain.take([4])]);
    expect(verdicts.map(({ remaining }) => remaining)).toEqual([[6], [1], [2]]);
  });

  it('charges a penalty where a limit that is paced holds nothing at the moment', async () => {
    const paced: Dimension = {
      kind: 'window',
      name: 'paced',
      unit: 'requests',
      limit: 10,
      windowMs: minuteMs,
      burst: 3,
    };
    const { take, left } = use({ dimensions: [paced] });
    expect(await take([1], { limits: [0], penalise: true })).toMatchObject({ ok: false, remaining: [0] });
    expect((await left())[0]).toBeCloseTo(2, 2);
  });

  it('asks for no more than 64 decisions in one call, further ones of a take included', async () => {
    const store = open(redis.url, { prefix });
    await takes(store).left();
    await redis.command('CONFIG', 'RESETSTAT');
    const more = Array.from({ length: 63 }, () => [1]);
    await Promise.all(Array.from({ length: 4 }, (_, index) => takes(store, { key: `${index}` }).take([1], { more })));
    expect((await redis.info()).get('cmdstat_evalsha')).toMatch(/^calls=4,/);
  });

  it('decides, settles and counts when the memory is full, also with scripts that the server does not know', async () => {
    const full = await startOwnRedis();
    onTestFinished(full.kill);
    await full.configure({ maxmemory: 1, 'maxmemory-policy': 'noeviction' });
    const store = open(full.url);
    const { take, settle, left } = takes(store, { dimensions: [window(10), places(1)] });
    const verdict = await take([9, 1], { lease: { id: 'a', ttlMs: minuteMs } });
    expect((await take([1, 1], { lease: { id: 'b', ttlMs: minuteMs } })).ok).toBe(false);
    await settle(verdict, [-8, 0], 'a');
    expect(await left()).toEqual([9, 1]);
    expect(await store.peers(signal)).toBe(1);
  });

  it.each<[string, (own: OwnRedis) => Promise<unknown>]>([
    ['is emptied', (own) => own.command('FLUSHALL')],
    ['restarts empty', (own) => own.restart()],
  ])('keeps to its limit when the server %s in the middle, told once by each process what it had', async (_, lose) => {
    const own = await startOwnRedis();
    onTestFinished(own.kill);
    const processes = Array.from({ length: 4 }, () => {
      const store = open(own.url);
      return { ...takes(store, { dimensions: [window(100)] }), store, had: 0, generation: '' };
    });
    const round = async (): Promise<void> => {
      await Promise.all(
        processes.map(async (process) => {
          const told = process.had > 0 && { own: { generation: process.generation, amounts: [process.had] } };
          // Several are under way when it comes out that the account is another one.
          const verdicts = await Promise.all([1, 1, 2].map((amount) => process.take([amount], { ...told })));
          for (const [index, { ok, generation }] of verdicts.entries()) {
            if (ok) process.had += [1, 1, 2][index] ?? 0;
            process.generation = generation;
          }
        }),
      );
    };
    for (let count = 0; count < 4; count++) await round();
    expect(processes.map(({ had }) => had)).toEqual([16, 16, 16, 16]);
    await lose(own);
    await until(
      'all are back',
      async () => (await Promise.all(processes.map(({ store }) => store.peers(signal)))).length > 0,
    );
    for (let count = 0; count < 8; count++) await round();
    const total = processes.reduce((sum, { had }) => sum + had, 0);
    expect(total).toBeLessThanOrEqual(100);
    expect(total).toBeGreaterThan(95);
  });

  it('goes on with the replica where a Sentinel names it, with the account or told what it was', async () => {
    const pair: SentinelPair = await startSentinelPair();
    onTestFinished(pair.stop);
    const connection = { name: pair.name, sentinelRootNodes: [{ host: '127.0.0.1', port: pair.sentinel.port }] };
    const { take, left } = takes(open(connection));
    const { generation } = await take([4]);
    const own = { generation, amounts: [4] };
    await until('the replica has it', async () => Number(await pair.second.command('DBSIZE')) > 0);
    await pair.failOver('kill');
    await until('it takes', async () => (await take([0], { own })).ok);
    expect(await left()).toEqual([6]);
    expect((await take([0])).generation).toBe(generation);
  });

  it('holds the places of its leases at a server that has restarted empty', async () => {
    const own = await startOwnRedis();
    onTestFinished(own.kill);
    const dimensions = [places(3)];
    const [holder, other] = [open(own.url), open(own.url)].map((store) => ({ ...takes(store, { dimensions }), store }));
    if (!holder || !other) return;
    const verdicts = await Promise.all(
      ['a', 'b', 'c'].map((id) => holder.take([1], { lease: { id, ttlMs: id === 'c' ? 1 : minuteMs } })),
    );
    const [first] = verdicts;
    if (!first) return;
    await holder.settle(first, [0], 'a');
    await own.restart();
    await until('the holder is back', async () => (await holder.store.peers(signal)) > 0);
    await until('the other one is back', async () => (await other.left())[0] === 2);
    expect((await other.take([1], { lease: { id: 'd', ttlMs: minuteMs } })).ok).toBe(true);
    expect((await other.take([1], { lease: { id: 'e', ttlMs: minuteMs } })).ok).toBe(true);
    expect((await other.take([1], { lease: { id: 'f', ttlMs: minuteMs } })).ok).toBe(false);
  });
});
