import { createLimiter, type Decision, type Limit } from '@warmpath/core/limiter';
import { RateLimiter } from 'limiter';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import type { Contest, Task } from '#harness';

/** One call of a side takes so often. */
const takes = 1_000;

/** Nothing is refused where the limit is this. */
export const enough = 1e9;

const oneKey: readonly string[] = ['user-1'];
const manyKeys: readonly string[] = Array.from({ length: 10_000 }, (_, number) => `user-${number}`);

/** What a provider limits: requests and tokens in a minute, requests in a day. */
export function threeLimits(limit: number): readonly Limit[] {
  return [
    { limit, window: '1m' },
    { unit: 'tokens', limit: 1_000 * limit, window: '1m' },
    { limit: 1_000 * limit, per: 'day' },
  ];
}

/** Of three dimensions. */
export const cost: { readonly tokens: number } = { tokens: 900 };

/** A limiter of one side, made with so many for a minute, says whether one more is let through. */
type Side = (limit: number) => (key: string) => boolean;

/** The same where it has to be awaited. */
export interface AwaitedSide<Answer> {
  readonly take: (key: string) => Promise<Answer>;
  readonly isAllowed: (answer: Answer) => boolean;
}

const tryTake: Side = (limit) => {
  const limiter = createLimiter({ name: 'bench', limit, window: '1m' });
  return (key) => limiter.tryTake(key).ok;
};

const tryTake3d: Side = (limit) => {
  const limiter = createLimiter({ name: 'bench', limits: threeLimits(limit) });
  return (key) => limiter.tryTake(key, cost).ok;
};

/** It knows no keys: whoever wants some makes a limiter for each. */
const tryRemoveTokens: Side = (limit) => {
  const limiter = new RateLimiter({ tokensPerInterval: limit, interval: 'minute' });
  return () => limiter.tryRemoveTokens(1);
};

/** Refuses at once, as its peer does. */
const take = (limit: number): AwaitedSide<Decision> => {
  const limiter = createLimiter({ name: 'bench', limit, window: '1m', timeout: 0 });
  return { take: (key) => limiter.take(key), isAllowed: ({ ok }) => ok };
};

/** It rejects what it refuses. */
const flexibleMemory = (limit: number): AwaitedSide<RateLimiterRes> => {
  const limiter = new RateLimiterMemory({ points: limit, duration: 60 });
  return { take: (key) => limiter.consume(key), isAllowed: () => true };
};

/** In memory: ours, next to what people would take otherwise. */
export async function memoryContests(): Promise<readonly Contest[]> {
  for (const side of [tryTake, tryTake3d, tryRemoveTokens]) await verify(side(few));
  await verify(asking(take(few)));
  await verify(asking(flexibleMemory(few)));
  const contests: readonly Contest[] = [
    {
      name: 'tryTake/limiter.tryRemoveTokens',
      ours: passing(tryTake(enough), oneKey),
      peer: passing(tryRemoveTokens(enough), oneKey),
    },
    {
      name: 'tryTake.refused/limiter.tryRemoveTokens.refused',
      ours: refused(tryTake(1)),
      peer: refused(tryRemoveTokens(1)),
    },
    {
      name: 'take/rate-limiter-flexible.memory',
      ours: passingAwaited(take(enough), oneKey),
      peer: passingAwaited(flexibleMemory(enough), oneKey),
    },
    {
      name: 'take.10kKeys/rate-limiter-flexible.memory.10kKeys',
      ours: passingAwaited(take(enough), manyKeys),
      peer: passingAwaited(flexibleMemory(enough), manyKeys),
    },
    {
      name: 'take.refused/rate-limiter-flexible.memory.refused',
      ours: await refusedAwaited(asking(take(1))),
      peer: await refusedAwaited(asking(flexibleMemory(1))),
    },
    { name: 'tryTake.10kKeys', ours: passing(tryTake(enough), manyKeys) },
    { name: 'tryTake.3d', ours: passing(tryTake3d(enough), oneKey) },
    { name: 'tryTake.3d.10kKeys', ours: passing(tryTake3d(enough), manyKeys) },
  ];
  return contests.map((contest) => ({ ...contest, units: takes }));
}

/** So many may pass where it is found out whether a side counts. */
export const few = 10;

/** Before anything is timed: a side that does not count would win. @throws when it lets through more or less than it may */
export async function verify(take: (key: string) => boolean | Promise<boolean>): Promise<void> {
  let passed = 0;
  for (let turn = 0; turn < 3 * few; turn++) if (await take('user-1')) passed++;
  if (passed !== few) throw new Error(`A side of a benchmark has let ${passed} through where ${few} may pass`);
}

/** Whether one more is let through. */
export function asking<Answer>({ take, isAllowed }: AwaitedSide<Answer>): (key: string) => Promise<boolean> {
  return async (key) => {
    try {
      return isAllowed(await take(key));
    } catch (refusal) {
      if (refusal instanceof RateLimiterRes) return false;
      throw refusal;
    }
  };
}

/** Takes for one key after the other, and goes on there next time. */
function passing(take: (key: string) => boolean, keys: readonly string[]): Task {
  const nextKey = keysInTurn(keys);
  return () => {
    for (let turn = 0; turn < takes; turn++) if (!take(nextKey())) throw new Error('What may pass was refused');
  };
}

function passingAwaited<Answer>({ take, isAllowed }: AwaitedSide<Answer>, keys: readonly string[]): Task {
  const nextKey = keysInTurn(keys);
  return async () => {
    for (let turn = 0; turn < takes; turn++) {
      if (!isAllowed(await take(nextKey()))) throw new Error('What may pass was refused');
    }
  };
}

function refused(take: (key: string) => boolean): Task {
  take('user-1');
  return () => {
    for (let turn = 0; turn < takes; turn++) if (take('user-1')) throw new Error('What is to be refused has passed');
  };
}

async function refusedAwaited(take: (key: string) => Promise<boolean>): Promise<Task> {
  await take('user-1');
  return async () => {
    for (let turn = 0; turn < takes; turn++) {
      if (await take('user-1')) throw new Error('What is to be refused has passed');
    }
  };
}

/** One after the other, over and over. */
export function keysInTurn(keys: readonly string[]): () => string {
  let at = 0;
  return () => {
    at = at + 1 < keys.length ? at + 1 : 0;
    return keys[at] ?? '';
  };
}
