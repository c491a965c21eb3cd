import { setTimeout as pause } from 'node:timers/promises';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startRedisCluster } from './redis-cluster.js';
import { startSentinelPair } from './redis-sentinel.js';
import { startOwnRedis, whyNoOwnRedis } from './redis-servers.js';
import { Fleet, type Ordeal } from './shared-cache-fleet.js';
import type { Verdict } from './shared-cache-truth.js';
import { startTcpProxy } from './tcp-proxy.js';

const note = whyNoOwnRedis();
const seed = Math.floor(Math.random() * 2 ** 31);
/** Longer than any fault, so that what memory has is served all the while. */
const longWindowMs = 5_000;
const shortWindowMs = 2_000;
const faultMs = 3_000;
const slowMs = 2_000;
/** With the pause before the next attempt to connect, up to 800 ms by then, it is still shorter than the short window. */
const refusedMs = 700;
/** What one process invalidates leaves the memories of the others, while nothing is wrong. */
const heardWithinMs = 100;
/** There are some in each process every 10 ms. */
const longestWithoutHitMs = 1_000;

type Suffer = (name: string, harm: () => Promise<unknown>) => Promise<void>;

interface Outcome extends Ordeal {
  readonly verdict: Verdict;
}

interface Fault {
  readonly name: string;
  readonly isHarmless?: true;
  /** For some time two servers believe to be in charge, and nothing is promised of what is said to the wrong one. */
  readonly isSplit?: true;
  /** The processes that hear nothing for longer than the stale window. */
  readonly cutOff?: readonly number[];
}

const faults: readonly Fault[] = [
  { name: 'well', isHarmless: true },
  { name: 'killed' },
  { name: 'frozen' },
  { name: 'restarted empty' },
  { name: 'restarted from an old snapshot' },
  { name: 'full' },
  { name: 'slow by 20 ms' },
  { name: 'slow by 100 ms' },
  { name: 'slow by 500 ms' },
  { name: 'refusing one process' },
  { name: 'cut off from one process', cutOff: [0] },
  { name: 'not heard by one process', cutOff: [0] },
  { name: 'failing over by order' },
  { name: 'failing over, its master frozen and back again', isSplit: true },
  { name: 'failing over, its master killed' },
  { name: 'a cluster without its node of the versions' },
  { name: 'a cluster without another node' },
];

/** A fleet of its own for some faults, one after the other. */
async function lane(
  connections: readonly ConstructorParameters<typeof Fleet>[0]['connections'][number][],
  staleWindowMs: number,
  run: (suffer: Suffer) => Promise<unknown>,
): Promise<Ordeal[]> {
  const fleet = new Fleet({ connections, staleWindowMs, seed });
  const ordeals: Ordeal[] = [];
  try {
    await fleet.begin();
    await run(async (name, harm) => void ordeals.push(await fleet.suffer(name, harm)));
  } finally {
    await fleet.stop();
    said.push(...fleet.said);
  }
  return ordeals;
}

async function oneServer(): Promise<Ordeal[]> {
  const redis = await startOwnRedis();
  try {
    return await lane([redis.url, redis.url, redis.url], longWindowMs, async (suffer) => {
      await suffer('well', () => pause(1_000));
      await suffer('killed', async () => {
        const snapshot = await redis.save();
        await redis.kill();
        await pause(faultMs);
        await redis.restart(snapshot);
      });
      await suffer('frozen', async () => {
        redis.freeze();
        await pause(faultMs);
        redis.thaw();
      });
      await suffer('restarted empty', () => redis.restart());
      const snapshot = await redis.save();
      await suffer('restarted from an old snapshot', () => redis.restart(snapshot));
      await suffer('full', async () => {
        await redis.configure({ maxmemory: 1, 'maxmemory-policy': 'noeviction' });
        await pause(faultMs);
        await redis.configure({ maxmemory: 0 });
      });
    });
  } finally {
    await redis.kill();
  }
}

async function badNetwork(): Promise<Ordeal[]> {
  const redis = await startOwnRedis();
  const proxies = await Promise.all(Array.from({ length: 3 }, () => startTcpProxy(redis.port)));
  const [first] = proxies;
  try {
    const urls = proxies.map(({ port }) => `redis://127.0.0.1:${port}`);
    return await lane(urls, shortWindowMs, async (suffer) => {
      for (const ms of [20, 100, 500]) {
        await suffer(`slow by ${ms} ms`, async () => {
          const line = { delayMs: ms / 2, jitterMs: ms / 10 };
          for (const proxy of proxies) proxy.shape({ toServer: line, toClient: line });
          await pause(slowMs);
          for (const proxy of proxies) proxy.shape({});
        });
      }
      await suffer('refusing one process', async () => {
        await first?.refuse();
        await pause(refusedMs);
        await first?.accept();
      });
      await suffer('cut off from one process', async () => {
        first?.hold();
        await pause(shortWindowMs + 800);
        first?.shape({});
      });
      await suffer('not heard by one process', async () => {
        first?.shape({ toClient: { isHeld: true } });
        await pause(shortWindowMs + 800);
        first?.shape({});
      });
    });
  } finally {
    for (const proxy of proxies) await proxy.stop();
    await redis.kill();
  }
}

async function behindSentinel(): Promise<Ordeal[]> {
  const pair = await startSentinelPair();
  try {
    const connection = { name: pair.name, sentinelRootNodes: [{ host: '127.0.0.1', port: pair.sentinel.port }] };
    return await lane([connection, connection, connection], longWindowMs, async (suffer) => {
      await suffer('failing over by order', () => pair.failOver('order'));
      await suffer('failing over, its master frozen and back again', async () => {
        const before = await pair.master();
        await pair.failOver('freeze');
        await pause(1_000);
        before.thaw();
      });
      await suffer('failing over, its master killed', () => pair.failOver('kill'));
    });
  } finally {
    await pair.stop();
  }
}

async function inCluster(): Promise<Ordeal[]> {
  const cluster = await startRedisCluster({ 'cluster-require-full-coverage': 'no' });
  try {
    const connection = { rootNodes: cluster.urls.map((url) => ({ url })) };
    return await lane([connection, connection, connection], longWindowMs, async (suffer) => {
      const versions = await cluster.nodeOf('wp:{shared}:v');
      const other = cluster.nodes.find((node) => node !== versions);
      await suffer('a cluster without its node of the versions', async () => {
        await versions.kill();
        await pause(faultMs);
        await versions.restart();
      });
      await suffer('a cluster without another node', async () => {
        await other?.kill();
        await pause(faultMs);
        await other?.restart();
      });
    });
  } finally {
    await cluster.stop();
  }
}

function rowOf({ verdict, faultTo, wellAt }: Outcome): Record<string, string | number> {
  const { waitsMs, hits } = verdict;
  return {
    requests: verdict.requests,
    failures: verdict.failures.length,
    'wait p99': Math.round(waitsMs[Math.floor(waitsMs.length * 0.99)] ?? 0),
    'wait max': Math.round(waitsMs.at(-1) ?? 0),
    'too long': verdict.tooLong.length,
    orphaned: verdict.orphanedMs.map(Math.round).join(' '),
    'memory hits': hits.memory,
    'without (ms)': verdict.withoutHitMs.map(Math.round).join(' '),
    'store hits': hits.store,
    computed: verdict.computed,
    'store failed': verdict.storeFailures,
    deferred: verdict.deferred,
    'stale inside': verdict.staleInside,
    'oldest (ms)': Math.round(verdict.oldestStaleMs),
    outside: verdict.staleOutside.length,
    'stall (ms)': Math.round(verdict.stalledMs),
    'well after (s)': wellAt === undefined ? 'never' : Math.round((wellAt - faultTo) / 10) / 100,
  };
}

const outcomes = new Map<string, Outcome>();
const said: string[] = [];

beforeEach(({ skip }) => skip(note !== undefined, note));
beforeAll(async () => {
  if (note) return;
  const ordeals = await Promise.all([oneServer(), badNetwork(), behindSentinel(), inCluster()]);
  // Only when all is over: it takes long, and the proxies are in this process.
  for (const ordeal of ordeals.flat()) outcomes.set(ordeal.name, { ...ordeal, verdict: ordeal.truth.verdict(ordeal) });
  console.log(`Three processes, seed ${seed}, and a Redis that is`);
  console.table(Object.fromEntries(Array.from(outcomes, ([name, outcome]) => [name, rowOf(outcome)])));
}, 240_000);

describe.each(faults)('a shared cache on a Redis that is $name', ({ name, isHarmless, isSplit, cutOff = [] }) => {
  const outcome = (): Outcome => {
    const found = outcomes.get(name);
    if (!found) throw new Error(`Nobody was ${name}`);
    return found;
  };

  it('fails no request', () => {
    const { verdict } = outcome();
    expect(verdict.failures).toEqual([]);
    expect(verdict.requests).toBeGreaterThan(500);
    // It was harm that was done.
    if (!isHarmless) expect(verdict.storeFailures).toBeGreaterThan(0);
  });

  it('keeps nobody waiting for longer than the deadline of the store and the computation', () => {
    const { farTooLong, tooLong, requests } = outcome().verdict;
    expect(farTooLong).toEqual([]);
    expect(tooLong.length, tooLong.join('\n')).toBeLessThanOrEqual(requests / 1_000);
  });

  it('goes on with its hits in memory', () => {
    const { withoutHitMs, stalledMs } = outcome().verdict;
    const others = withoutHitMs.filter((_, process) => !cutOff.includes(process));
    expect(Math.max(...others)).toBeLessThan(longestWithoutHitMs + stalledMs);
  });

  it('recovers, and everybody is told what was deferred', () => {
    const { wellAt, verdict } = outcome();
    expect(wellAt).toBeDefined();
    expect(verdict.hits.store).toBeGreaterThan(0);
  });

  // While two servers both believe to be in charge nothing is promised.
  if (isSplit) return;
  it('serves nothing that was invalidated, but for the stale window of memories', () => {
    const { staleOutside, oldestStaleMs, stalledMs } = outcome().verdict;
    expect(staleOutside).toEqual([]);
    if (isHarmless) expect(oldestStaleMs).toBeLessThan(heardWithinMs + stalledMs);
  });
});

it('none of the processes has said a word', () => {
  expect(said).toEqual([]);
});
