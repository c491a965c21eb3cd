import type { Dimension, LimiterStore } from '@warmpath/core/limiter';
import { redisLimits } from '@warmpath/core/redis';

/**
 * One process of many that share limits, for test/limiter-processes.test.ts. `load`: takes as fast as it may, 16 at a time, and
 * says when each was charged, by the server's time. `hold`: takes a place and keeps it until it is killed.
 */
const [url = '', task = '', argument = '0'] = process.argv.slice(2);

export const windowMs = 400;
export const limits: readonly Dimension[] = [
  { kind: 'window', name: 'short', unit: 'requests', limit: 60, windowMs, burst: undefined },
  { kind: 'window', name: 'long', unit: 'tokens', limit: 250.5, windowMs: 3 * windowMs, burst: undefined },
];
export const places: readonly Dimension[] = [{ kind: 'concurrency', name: 'places', unit: 'concurrency', limit: 3 }];

export interface Charged {
  readonly at: number;
  readonly amounts: readonly number[];
}

const atOnce = 16;
const signal = new AbortController().signal;

async function load(store: LimiterStore, durationMs: number): Promise<readonly Charged[]> {
  const charged: Charged[] = [];
  const until = performance.now() + durationMs;
  const work = async (worker: number): Promise<void> => {
    for (let count = worker; performance.now() < until; count++) {
      const amounts = [1, (count % 9) / 2];
      const { ok, at } = await store.take({ limiter: 'load', key: 'all', dimensions: limits, amounts, signal });
      if (ok) charged.push({ at, amounts });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, (_, worker) => work(worker)));
  return charged;
}

if (task === 'load') {
  const store = redisLimits(url);
  process.send?.(await load(store, Number(argument)));
  await store.close();
  process.disconnect();
}
if (task === 'hold') {
  const lease = { id: `${process.pid}`, ttlMs: Number(argument) };
  const account = { limiter: 'hold', key: 'all', dimensions: places, signal };
  const { ok } = await redisLimits(url).take({ ...account, amounts: [1], lease });
  process.send?.(ok);
}
