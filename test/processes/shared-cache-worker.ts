import { setTimeout as pause } from 'node:timers/promises';
import { createCache } from '@warmpath/core/cache';
import { type RedisConnect, redisStore } from '@warmpath/core/redis';

/**
 * One process of a few that share a cache on Redis, for test/shared-cache-flight.test.ts. It does what it is told, and tells
 * of each computation when it begins. Instants are milliseconds of the machine's monotonic clock.
 */
export interface WorkerOptions {
  readonly connection: RedisConnect;
  readonly leaseTtl: `${number}ms`;
}

export type Task =
  /** `times` calls of `getOrSet` at once. @returns the values, each once, and the longest wait */
  | { readonly do: 'getOrSet'; readonly key: string; readonly times: number; readonly computeMs: number }
  | { readonly do: 'getOrSetMany'; readonly keys: readonly string[]; readonly computeMs: number }
  | { readonly do: 'set'; readonly key: string; readonly value: string }
  /** @returns when it was called */
  | { readonly do: 'delete'; readonly key: string }
  | { readonly do: 'peek'; readonly key: string }
  /** Looks at memory again and again. @returns when each key, one after the other, was no longer there as it was at first */
  | { readonly do: 'watch'; readonly keys: readonly string[] };

export interface Answer {
  readonly values: readonly (string | undefined)[];
  readonly at: readonly number[];
}

export type Said =
  | { readonly says: 'ready' }
  | { readonly says: 'computing'; readonly keys: readonly string[] }
  | { readonly says: 'done'; readonly id: number; readonly answer: Answer };

const now = (): number => Number(process.hrtime.bigint()) / 1e6;

const say = (said: Said): void => {
  process.send?.(said);
};

async function main({ connection, leaseTtl }: WorkerOptions): Promise<void> {
  const store = redisStore(connection, { leaseTtl });
  // The machine has fewer cores than the test has processes: the deadline is not the question here.
  const cache = createCache({ name: 'flight', store, ttl: '1m', storeTimeout: '2s' });
  let computations = 0;

  const compute = async (keys: readonly string[], computeMs: number): Promise<string[]> => {
    say({ says: 'computing', keys });
    const by = `${process.pid}.${++computations}`;
    await pause(computeMs);
    return keys.map((key) => `${key} by ${by}`);
  };

  const perform = async (task: Task): Promise<Answer> => {
    const from = now();
    switch (task.do) {
      case 'getOrSet': {
        const { key, times, computeMs } = task;
        const calls = Array.from({ length: times }, async () => {
          return cache.getOrSet(key, async () => (await compute([key], computeMs))[0]);
        });
        const values = new Set(await Promise.all(calls));
        return { values: [...values], at: [from, now()] };
      }
      case 'getOrSetMany': {
        const values = await cache.getOrSetMany(task.keys, (missing) => compute(missing, task.computeMs));
        return { values, at: [from, now()] };
      }
      case 'set':
        await cache.set(task.key, task.value);
        return { values: [], at: [from, now()] };
      case 'delete': {
        const { deferred } = await cache.delete(task.key);
        return { values: [deferred ? 'deferred' : undefined], at: [from, now()] };
      }
      case 'peek':
        return { values: [cache.peek(task.key)], at: [from, now()] };
      case 'watch': {
        const at: number[] = [];
        for (const key of task.keys) {
          const first = cache.peek(key);
          while (first !== undefined && cache.peek(key) === first) await pause(1);
          at.push(first === undefined ? Number.NaN : now());
        }
        return { values: [], at };
      }
    }
  };

  process.on('message', async ({ id, task }: { id: number; task: Task }) => {
    say({ says: 'done', id, answer: await perform(task) });
  });
  // Nor is how long it takes to connect to all servers.
  const keys = Array.from({ length: 20 }, (_, index) => `warm ${process.pid} ${index}`);
  await cache.getOrSetMany(keys, (missing) => missing.map(() => 'warm'));
  say({ says: 'ready' });
}

if (process.send && process.argv[2]?.startsWith('{')) await main(JSON.parse(process.argv[2]) as WorkerOptions);
