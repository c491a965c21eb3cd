import { describe, expect, it } from 'vitest';
import { ClusterSimulation, type Plant, type Weather } from '../../test/cluster-simulation.js';
import type { RedisPort } from '../kernel/index.js';
import type { CacheStore, StoreFeed } from './index.js';
import { redisStoreOver } from './stores/redis/redis-namespaces.js';

/** Real caches over the real Redis store, on a simulated network and server (see simulated-redis.ts), on virtual time. */
function simulate(seed: number, weather: Weather, plant?: Plant): ClusterSimulation {
  return new ClusterSimulation({
    seed,
    weather,
    makeStore: (port, clock, random) =>
      redisStoreOver(port, { name: 'redis', prefix: 'wp', leaseTtlMs: 5_000, clock, random }),
    ...(plant ? { plant } : {}),
  });
}

const fine: Weather = { faults: false, losses: false, servers: 1 };
const troubled: Weather = { faults: true, losses: false, servers: 1 };
const cluster: Weather = { faults: true, losses: false, servers: 3 };
const lossy: Weather = { faults: true, losses: true, servers: 1 };

/** To look at one again: WARMPATH_SEED=17 WARMPATH_SEEDS=1. */
const firstSeed = Number(process.env.WARMPATH_SEED ?? 1);
const seedsOf = (usual: number): number => Number(process.env.WARMPATH_SEEDS ?? usual);

describe('no read after an acknowledged invalidation returns older data, outside the stale window', () => {
  it.each([
    ['in fine weather', fine, 200],
    ['with one server in trouble', troubled, 700],
    ['with a cluster in trouble', cluster, 600],
    ['with a server that comes back without its last writes', lossy, 500],
  ] as const)('%s', { timeout: 600_000 }, async (_, weather, usual) => {
    const seeds = seedsOf(usual);
    const seen = new Map<string, number>();
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      const simulation = simulate(seed, weather);
      await simulation.run();
      for (const [what, count] of simulation.seen) seen.set(what, (seen.get(what) ?? 0) + count);
    }
    for (const what of ['memory', 'store', 'computed', 'tags acknowledged']) {
      expect(seen.get(what), what).toBeGreaterThan(seeds);
    }
    if (weather.faults) expect(seen.get('tags deferred')).toBeGreaterThan(seeds / 10);
  });
});

function withStore(change: (store: CacheStore) => Partial<CacheStore>): Plant {
  return { store: (store) => overlay(store, change(store)) };
}

function withFeed(change: (feed: StoreFeed) => Partial<StoreFeed>): Plant {
  return withStore((store) => ({
    openFeed: (namespace) => {
      const feed = store.openFeed?.(namespace);
      if (!feed) throw new Error('It has a feed');
      return overlay(feed, change(feed));
    },
  }));
}

function withPort(change: (port: RedisPort) => Partial<RedisPort>): Plant {
  return { port: (port) => overlay(port, change(port)) };
}

/** The methods of `changes` in front of those of `thing`. */
function overlay<T extends object>(thing: T, changes: Partial<T>): T {
  return new Proxy(thing, {
    get(target, name) {
      const value: unknown = name in changes ? Reflect.get(changes, name) : Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const plants: readonly (readonly [bug: string, Weather, Plant])[] = [
  ['news that are not told', fine, withFeed(() => ({ poll: () => undefined, silentMs: () => 0 }))],
  ['gaps that are not told', troubled, withFeed((feed) => ({ poll: () => toldOf(feed.poll()) }))],
  ['silence that nobody notices', troubled, withFeed(() => ({ silentMs: () => 0 }))],
  ['a stale window that is longer than it says', troubled, { options: { staleWindow: '1h' } }],
  [
    'values that are stored whatever was invalidated since they began',
    fine,
    withStore((store) => ({
      setMany: (write) =>
        store.setMany({ ...write, entries: write.entries.map((entry) => ({ ...entry, fence: undefined })) }),
    })),
  ],
  [
    'invalidations that are acknowledged before they are done',
    troubled,
    withStore((store) => ({
      invalidate: async (told) => {
        store.invalidate(told).catch(() => {});
      },
    })),
  ],
  [
    'tags that are forgotten nowhere but here',
    fine,
    withStore((store) => ({
      invalidate: async (told) => (told.invalidation.type === 'tags' ? undefined : store.invalidate(told)),
    })),
  ],
  ['invalidations that a new server is not told again', lossy, withPort(() => ({ onServer: () => {} }))],
];

function toldOf(news: ReturnType<StoreFeed['poll']>): ReturnType<StoreFeed['poll']> {
  return news === 'gap' ? undefined : news;
}

describe('the simulation finds', () => {
  it.each(plants)('%s', { timeout: 120_000 }, async (_, weather, plant) => {
    const found: string[] = [];
    for (let seed = 1; seed <= 400 && found.length === 0; seed++) {
      await simulate(seed, weather, plant)
        .run()
        .catch((error: Error) => found.push(error.message));
    }
    expect(found[0]).toMatch(/^Seed \d+: .* gave .* and not at least/);
  });
});
