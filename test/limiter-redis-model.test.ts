import { randomUUID } from 'node:crypto';
import { type RedisPort, systemClock, systemRandom } from '@warmpath/core/kernel';
import type { Amounts, Dimension, LimiterStore, StoreTake, StoreVerdict } from '@warmpath/core/limiter';
import { limiterStoreContract, memoryLimits } from '@warmpath/core/testing';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { accountKeys } from '../packages/core/src/limiter/stores/redis/limit-keys.js';
import { Shape } from '../packages/core/src/limiter/stores/redis/shape.js';
import { connectRedis } from '../packages/core/src/redis/connection/redis-client.js';
import { calendar, limitsOn, serverTime, window } from './limiter-redis-time.js';
import { type OwnRedis, startOwnRedis, whyNoOwnRedis } from './redis-servers.js';

const note = whyNoOwnRedis();
beforeEach(({ skip }) => skip(note !== undefined, note));

let redis: OwnRedis;
let port: RedisPort;
beforeAll(async () => {
  if (note) return;
  redis = await startOwnRedis();
  port = connectRedis('test', redis.url, { clock: systemClock, random: systemRandom });
});
afterAll(async () => {
  await port?.close();
  await redis?.kill();
});

const signal = new AbortController().signal;
const secondMs = 1_000;
const minuteMs = 60_000;

const places = (limit: number): Dimension => ({ kind: 'concurrency', name: 'places', unit: 'concurrency', limit });

const accounts: readonly (readonly Dimension[])[] = [
  [window(10, minuteMs)],
  [window(10, minuteMs), window(40, 10 * minuteMs), window(3, secondMs)],
  [window(7, 250), places(2)],
  [window(200, minuteMs, 2), window(30, minuteMs, 5)],
  [window(3, minuteMs, 1), calendar(12, 'hour', 'Asia/Kolkata')],
  [calendar(20, 'day', 'Europe/Berlin'), places(3), window(6.5, 10 * secondMs), window(9, minuteMs, 9)],
];

type Command =
  | { readonly type: 'pass'; readonly ms: number }
  | { readonly type: 'take'; readonly takes: readonly Sample[] }
  | { readonly type: 'settle'; readonly which: number; readonly corrections: Amounts; readonly isHeld: boolean }
  | { readonly type: 'extend'; readonly which: number; readonly ttlMs: number };

interface Sample {
  readonly amounts: Amounts;
  readonly reduced?: number;
  readonly debt?: Amounts;
  readonly ttlMs?: number;
  readonly penalise: boolean;
}

const most = 4;
const thousandths = (min: number, max: number) =>
  fc.integer({ min: min * 1_000, max: max * 1_000 }).map((n) => n / 1_000);
const amount = fc.oneof(fc.constantFrom(0, 1, 1, 2), thousandths(0, 4));
const amounts = fc.tuple(amount, amount, amount, amount);
const sample: fc.Arbitrary<Sample> = fc.record(
  {
    amounts,
    penalise: fc.boolean(),
    reduced: fc.constantFrom(0.1, 0.5, 0.9),
    debt: amounts,
    ttlMs: fc.constantFrom(100, secondMs, minuteMs),
  },
  { requiredKeys: ['amounts', 'penalise'] },
) as fc.Arbitrary<Sample>;
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('pass' as const),
      ms: fc.oneof(
        fc.constantFrom(0, 1, 3.9, 4, 15, 16, 250, 937.5, 1e3, 6e4, 6e5, 36e5, 9e7),
        fc.integer({ max: 9e4, min: 0 }),
      ),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('take' as const),
      takes: fc.array(sample, { minLength: 1, maxLength: 4 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('settle' as const),
      which: fc.nat(5),
      corrections: fc.tuple(...Array.from({ length: most }, () => fc.oneof(fc.constant(0), thousandths(-5, 2)))),
      isHeld: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('extend' as const),
      which: fc.nat(5),
      ttlMs: fc.constantFrom(200, minuteMs),
    }),
  },
) as fc.Arbitrary<Command>;

describe('the accounts in Redis', () => {
  const time = serverTime();
  for (const { name, run } of limiterStoreContract(() => limitsOn(port, time, randomUUID()), {
    pass: async (ms) => time.pass(ms),
    makePair() {
      const prefix = randomUUID();
      return [limitsOn(port, time, prefix, 1), limitsOn(port, time, prefix, 2)];
    },
    lose: () => redis.command('FLUSHALL'),
  }))
    it(`keep the contract: ${name}`, run);

  it('answer as the accounts in memory do, whatever is asked', { timeout: 120_000 }, async () => {
    const commands = fc.array(command, { minLength: 1, maxLength: 100, size: 'max' });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...accounts), commands, fc.nat(), async (dimensions, list, seed) => {
        await new Comparison(dimensions, seed).run(list);
      }),
      { numRuns: 150 },
    );
  });
});

/** The same account in Redis and in memory. */
class Comparison {
  readonly #time = serverTime();
  readonly #dimensions: readonly Dimension[];
  readonly #prefix: string = randomUUID();
  readonly #redis: LimiterStore;
  readonly #memory: LimiterStore;
  readonly #allowed: {
    readonly redis: StoreVerdict;
    readonly memory: StoreVerdict;
    readonly id: string | undefined;
    /** What can still come back. */
    readonly left: number[];
  }[] = [];
  #leases = 0;

  constructor(dimensions: readonly Dimension[], seed: number) {
    const time = this.#time;
    this.#dimensions = dimensions;
    this.#redis = limitsOn(port, time, this.#prefix, seed);
    this.#memory = memoryLimits({ clock: { ...systemClock, now: () => time.ms, wall: () => time.ms } });
  }

  async run(commands: readonly Command[]): Promise<void> {
    for (const command of commands) {
      if (command.type === 'pass') this.#time.pass(command.ms);
      else if (command.type === 'take') await Promise.all(command.takes.map((each) => this.#take(each)));
      else if (command.type === 'settle') await this.#settle(command.which, command.corrections, command.isHeld);
      else await this.#extend(command.which, command.ttlMs);
    }
    await this.#isKept();
  }

  /** For as long as anything counts. What is kept goes by Redis's own clock, which has hardly moved. */
  async #isKept(): Promise<void> {
    const nothing = this.#dimensions.map(() => 0);
    const { resetMs } = await this.#redis.take({ ...this.#account, amounts: nothing });
    const [name = ''] = accountKeys(this.#prefix, 'model', 'key', new Shape(this.#dimensions));
    expect(Number(await redis.command('PTTL', name))).toBeGreaterThan(Math.max(...resetMs));
  }

  get #account(): Pick<StoreTake, 'limiter' | 'key' | 'dimensions' | 'signal'> {
    return { limiter: 'model', key: 'key', dimensions: this.#dimensions, signal };
  }

  #cut(list: Amounts): Amounts {
    return list.slice(0, this.#dimensions.length);
  }

  async #take({ amounts, reduced, debt, ttlMs, penalise }: Sample): Promise<void> {
    const id = ttlMs === undefined ? undefined : `lease ${++this.#leases}`;
    const request: StoreTake = {
      ...this.#account,
      amounts: this.#cut(amounts),
      penalise,
      ...(reduced !== undefined && { limits: this.#dimensions.map(({ limit }) => limit * reduced) }),
      ...(debt && { debt: this.#cut(debt) }),
      ...(id !== undefined && ttlMs !== undefined && { lease: { id, ttlMs } }),
    };
    const [memory, redis] = await Promise.all([this.#memory.take(request), this.#redis.take(request)]);
    expect(redis).toEqual(alike(memory));
    if (redis.ok) this.#allowed.push({ redis, memory, id, left: [...request.amounts] });
  }

  async #settle(which: number, corrections: Amounts, isHeld: boolean): Promise<void> {
    const charge = this.#allowed.at(-1 - which);
    if (!charge || this.#isLeaving(charge.memory.at)) return;
    const id = isHeld ? charge.id : undefined;
    const bounded = this.#cut(corrections).map((each, index) => Math.max(each, -(charge.left[index] ?? 0)));
    for (const [index, each] of bounded.entries()) charge.left[index] = (charge.left[index] ?? 0) + Math.min(0, each);
    const request = { ...this.#account, corrections: bounded, ...(id !== undefined && { leaseId: id }) };
    await Promise.all([
      this.#memory.settle({ ...request, at: charge.memory.at, generation: charge.memory.generation }),
      this.#redis.settle({ ...request, at: charge.redis.at, generation: charge.redis.generation }),
    ]);
  }

  async #extend(which: number, ttlMs: number): Promise<void> {
    const id = this.#allowed.at(-1 - which)?.id;
    if (id === undefined) return;
    const request = { ...this.#account, leaseId: id, ttlMs };
    const [memory, redis] = await Promise.all([this.#memory.extend(request), this.#redis.extend(request)]);
    expect(redis).toBe(memory);
  }

  /** A window old, while its entry may count a moment longer: memory then still gives it back, Redis does not. */
  #isLeaving(at: number): boolean {
    const ageMs = this.#time.ms - at;
    return this.#dimensions.some(
      (each) => each.kind === 'window' && ageMs >= each.windowMs && ageMs <= each.windowMs * (1 + 1 / 64),
    );
  }
}

/** But for the last digits of doubles that were added up in another order. */
function alike({ remaining, resetMs, waitsMs, waitMs, ...rest }: StoreVerdict): object {
  const close = (list: Amounts): readonly unknown[] => list.map((each) => expect.closeTo(each, 2));
  return {
    ...rest,
    generation: expect.any(String),
    remaining: close(remaining),
    resetMs: close(resetMs),
    waitsMs: close(waitsMs),
    waitMs: expect.closeTo(waitMs, 2),
  };
}
