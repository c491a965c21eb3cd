import { createLimiter } from '@warmpath/core/limiter';
import { redisLimits } from '@warmpath/core/redis';

/*
 * One of several processes that share limits and are always at them: `heavy` is asked for more than it has, `light` for less. What
 * was decided is told to the parent, on the machine's monotonic clock.
 */

export interface LimiterLoad {
  readonly connection: Parameters<typeof redisLimits>[0];
  readonly limit: number;
  readonly windowMs: number;
  /** Calls of each of the two in a second. */
  readonly perSecond: { readonly heavy: number; readonly light: number };
}

/** A stretch of time in which this process did not run, or what became of a call. */
export type LoadSeen =
  | { readonly type: 'stall'; readonly from: number; readonly to: number }
  | {
      readonly type: 'call';
      readonly key: 'heavy' | 'light';
      readonly from: number;
      readonly to: number;
      readonly ok: boolean;
      readonly decidedBy: string;
      readonly reason?: string;
    }
  | { readonly type: 'failed'; readonly from: number; readonly to: number; readonly error: string };

const now = (): number => Number(process.hrtime.bigint()) / 1e6;
const stallMs = 4;

let seen: LoadSeen[] = [];

async function main({ connection, limit, windowMs, perSecond }: LimiterLoad): Promise<void> {
  const limiter = createLimiter({
    name: 'shared',
    limits: [
      { limit, window: windowMs },
      { unit: 'tokens', limit: limit * 10, window: windowMs },
    ],
    store: redisLimits(connection),
  });
  const call = async (key: 'heavy' | 'light'): Promise<void> => {
    const from = now();
    try {
      const decision = await limiter.take(key, { tokens: 10 }, { timeout: 0 });
      const { ok, decidedBy } = decision;
      seen.push({
        type: 'call',
        key,
        from,
        to: now(),
        ok,
        decidedBy,
        ...(!decision.ok && { reason: decision.reason }),
      });
    } catch (error) {
      seen.push({ type: 'failed', from, to: now(), error: String(error) });
    }
  };
  for (const key of ['heavy', 'light'] as const) setInterval(() => void call(key), 1_000 / perSecond[key]);
  let last = now();
  setInterval(() => {
    const at = now();
    if (at - last > stallMs) seen.push({ type: 'stall', from: last, to: at });
    last = at;
  }, 2);
  setInterval(() => {
    process.send?.(seen);
    seen = [];
  }, 100);
}

process.on('disconnect', () => process.exit());
await main(JSON.parse(process.argv[2] ?? '{}') as LimiterLoad);
