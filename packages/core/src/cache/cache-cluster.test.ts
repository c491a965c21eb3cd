import { describe, expect, it } from 'vitest';
import { ClusterSimulation, type Plant, type Weather } from '../../test/cluster-simulation.js';
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

const weathers: Record<string, Weather> = {
  'fine weather': { faults: false, losses: false, servers: 1 },
  'one server in trouble': { faults: true, losses: false, servers: 1 },
  'a cluster in trouble': { faults: true, losses: false, servers: 3 },
  'a server that comes back without its last writes': { faults: true, losses: true, servers: 1 },
};

const firstSeed = Number(process.env.WARMPATH_SEED ?? 1);
const seeds = Number(process.env.WARMPATH_SEEDS ?? 250);

describe('no read after an acknowledged invalidation returns older data, outside the stale window', () => {
  it.each(Object.entries(weathers))('%s', { timeout: 600_000 }, async (name, weather) => {
    const seen = new Map<string, number>();
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      const simulation = simulate(seed, weather);
      await simulation.run();
      for (const [what, count] of simulation.seen) seen.set(what, (seen.get(what) ?? 0) + count);
    }
    if (process.env.WARMPATH_SEEN) console.log(name, Object.fromEntries(seen));
    for (const level of ['memory', 'store', 'computed']) expect(seen.get(level), level).toBeGreaterThan(seeds);
  });
});
