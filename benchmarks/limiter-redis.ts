import { createClient, type RedisClientType } from '@redis/client';
import { createLimiter, type Decision, type Limiter } from '@warmpath/core/limiter';
import { redisLimits } from '@warmpath/core/redis';
import { RateLimiterRedis, type RateLimiterRes } from 'rate-limiter-flexible';
import { type Contest, type Measured, measure, type Outcome, printTable, ratiosOf, rounded, type Task } from '#harness';
import { type AwaitedSide, asking, few, keysInTurn, threeLimits, verify } from '#limiter-contests';
import { startBenchRedis } from '#redis-server';

/** So many callers ask at a time, each so often, one after the other. */
const inFlight = 64;
const takesEach = 16;

/** For a minute: more than is asked for, and not so much that one prefetch would last for all that is measured. */
const enough = 1e7;
const prefetch = 1e-4;

/** No two calls in a row cost the same, as it is with those of a model. */
const costs: readonly { readonly tokens: number }[] = Array.from({ length: 997 }, (_, number) => ({
  tokens: 1 + ((number * 7_919) % 1_000),
}));

const oneKey: readonly string[] = ['user-1'];
const manyKeys: readonly string[] = Array.from({ length: 1_000 }, (_, number) => `user-${number}`);

/** What does a limit cost that several machines share? */
export async function limiterRedis(): Promise<Outcome> {
  const redis = await startBenchRedis();
  if (!redis) {
    console.log('Skipped: there is no redis-server on the path. On Debian: apt-get install redis-server.');
    return { ratios: {}, values: {} };
  }
  const client: RedisClientType = createClient({ url: redis.url });
  const limiters: Limiter[] = [];
  try {
    await client.connect();
    const sides = sidesOver(redis.url, client, limiters);
    await verifyAll(sides);
    const measured: Measured[] = [];
    for (const contest of contestsOf(sides)) measured.push(await measure(contest));
    console.log(
      `A real Redis, ${inFlight} in flight, time on the wall: three dimensions of ours, one counter of the peer`,
    );
    printTable(measured);
    const values = Object.fromEntries(
      measured.map(({ name, oursNs }) => [`${name.replace(/\/.*/, '')}.us`, rounded(oursNs / 1_000)]),
    );
    return { ratios: ratiosOf(measured), values };
  } finally {
    await Promise.all(limiters.map((limiter) => limiter.close()));
    if (client.isOpen) client.destroy();
    redis.stop();
  }
}

interface Sides {
  readonly stored: (name: string, limit: number) => AwaitedSide<Decision>;
  readonly leased: (name: string, limit: number) => AwaitedSide<Decision>;
  readonly flexible: (name: string, limit: number) => AwaitedSide<RateLimiterRes>;
}

function sidesOver(url: string, client: RedisClientType, limiters: Limiter[]): Sides {
  const ours = (name: string, limit: number, inAdvance: number): AwaitedSide<Decision> => {
    const limiter = createLimiter({
      ...{ name, limits: threeLimits(limit), store: redisLimits(url), prefetch: inAdvance },
      ...{ storeTimeout: '5s', onStoreError: 'refuse', timeout: 0 },
    });
    limiters.push(limiter);
    let turn = 0;
    return { take: (key) => limiter.take(key, costs[turn++ % costs.length]), isAllowed: ({ ok }) => ok };
  };
  return {
    stored: (name, limit) => ours(name, limit, 0),
    leased: (name, limit) => ours(name, limit, limit === few ? 0.5 : prefetch),
    flexible: (keyPrefix, points) => {
      const limiter = new RateLimiterRedis({
        storeClient: client,
        useRedisPackage: true,
        keyPrefix,
        points,
        duration: 60,
      });
      return { take: (key) => limiter.consume(key), isAllowed: () => true };
    },
  };
}

async function verifyAll({ stored, leased, flexible }: Sides): Promise<void> {
  await verify(asking(stored('few', few)));
  await verify(asking(leased('few-leased', few)));
  await verify(asking(flexible('few', few)));
}

function contestsOf(sides: Sides): readonly Contest[] {
  const [stored, leased] = [sides.stored('bench', enough), sides.leased('bench-leased', enough)];
  const flexible = sides.flexible('bench', enough);
  const contests: readonly Contest[] = [
    {
      name: 'redis.take3d/rate-limiter-flexible.redis',
      ours: passing(stored, oneKey),
      peer: passing(flexible, oneKey),
    },
    {
      name: 'redis.take3d.1kKeys/rate-limiter-flexible.redis.1kKeys',
      ours: passing(stored, manyKeys),
      peer: passing(flexible, manyKeys),
    },
    {
      name: 'redis.leased/rate-limiter-flexible.redis',
      ours: passing(leased, oneKey),
      peer: passing(flexible, oneKey),
    },
  ];
  return contests.map((contest) => ({ ...contest, units: inFlight * takesEach, by: 'wall' }));
}

function passing<Answer>({ take, isAllowed }: AwaitedSide<Answer>, keys: readonly string[]): Task {
  const nextKey = keysInTurn(keys);
  const caller = async (): Promise<void> => {
    for (let turn = 0; turn < takesEach; turn++) {
      if (!isAllowed(await take(nextKey()))) throw new Error('What may pass was refused');
    }
  };
  return () => Promise.all(Array.from({ length: inFlight }, caller));
}
