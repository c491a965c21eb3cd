import { randomUUID } from 'node:crypto';
import { type RedisPort, systemClock, systemRandom } from '@warmpath/core/kernel';
import type { LimiterStore, StoreVerdict } from '@warmpath/core/limiter';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { connectRedis } from '../packages/core/src/redis/connection/redis-client.js';
import { ChargeLog } from '../packages/core/test/limiter-oracle.js';
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

/** A process that says each time what time it was told last, and how long ago. */
class Taker {
  readonly #store: LimiterStore;
  #told: { readonly at: number; readonly real: number } | undefined;

  constructor(store: LimiterStore) {
    this.#store = store;
  }

  async take(amount: number, real: number): Promise<boolean> {
    const since = this.#told && { at: this.#told.at, agoMs: real - this.#told.real };
    const account = { limiter: 'jumps', key: 'key', dimensions: [window(10, minuteMs)], signal };
    const { ok, at } = await this.#store.take({ ...account, amounts: [amount], ...(since && { since }) });
    this.#told = { at, real };
    return ok;
  }
}

describe('a clock of the server that jumps', () => {
  it.each([
    ['to and fro, in the sight of one process', 1, -36e5],
    ['forwards, in the sight of two', 2, secondMs],
  ])('makes no window shorter by more than 1.1 s each time (%s)', async (_, processes, min) => {
    const step = fc.record({
      passMs: fc.oneof(fc.nat(20_000), fc.constant(0)),
      jumpMs: fc.oneof(
        { weight: 9, arbitrary: fc.constant(0) },
        fc.integer({ min, max: 36e5 }),
        fc.integer({ min: secondMs, max: 4 * secondMs }),
      ),
      process: fc.nat(processes - 1),
      amount: fc.integer({ min: 1, max: 4 }),
    });
    const steps = fc.array(step, { maxLength: 60, size: 'max' });
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const time = serverTime();
        const prefix = randomUUID();
        const takers = Array.from({ length: processes }, (_, index) => new Taker(limitsOn(port, time, prefix, index)));
        const log = new ChargeLog();
        let real = 0;
        for (const taker of takers) await taker.take(0, real);
        for (const { passMs, jumpMs, process, amount } of list) {
          real += passMs;
          time.pass(passMs + (Math.abs(jumpMs) > secondMs ? jumpMs : 0));
          if (await takers[process]?.take(amount, real)) log.charge(amount, real);
        }
        const forwards = list.filter(({ jumpMs }) => jumpMs > secondMs).length;
        expect(log.most(minuteMs - forwards * 1.1 * secondMs)).toBeLessThanOrEqual(10);
      }),
      { numRuns: 100 },
    );
  });

  it('lets windows end in time when it has gone back, by as much as it goes on from there', async () => {
    const time = serverTime();
    const store = limitsOn(port, time, randomUUID());
    const take = (): Promise<StoreVerdict> =>
      store.take({ limiter: 'jumps', key: 'key', dimensions: [window(5, minuteMs)], signal, amounts: [5] });
    expect((await take()).ok).toBe(true);
    time.pass(-36e5);
    expect(await take()).toMatchObject({ ok: false, waitMs: minuteMs });
    time.pass(minuteMs - 1);
    expect(await take()).toMatchObject({ ok: false, waitMs: 1 });
    time.pass(1);
    expect((await take()).ok).toBe(true);
  });

  it('never tells anybody to wait for longer than before when it goes back, though nothing was charged since', async () => {
    const time = serverTime();
    const store = limitsOn(port, time, randomUUID());
    const take = (): Promise<StoreVerdict> =>
      store.take({ limiter: 'jumps', key: 'key', dimensions: [window(5, minuteMs)], signal, amounts: [5] });
    expect((await take()).ok).toBe(true);
    time.pass(30 * secondMs);
    expect(await take()).toMatchObject({ ok: false, waitMs: 30 * secondMs });
    time.pass(-20 * secondMs);
    expect(await take()).toMatchObject({ ok: false, waitMs: 30 * secondMs });
  });

  it('gives no fresh quota of the calendar when it goes back, and one when it goes on', async () => {
    const time = serverTime(Date.UTC(2026, 2, 10, 12));
    const store = limitsOn(port, time, randomUUID());
    const account = { limiter: 'jumps', key: 'key', dimensions: [calendar(5, 'day', 'UTC')], signal };
    const take = (): Promise<StoreVerdict> => store.take({ ...account, amounts: [5] });
    expect((await take()).ok).toBe(true);
    time.pass(-20 * 36e5);
    expect(await take()).toMatchObject({ ok: false, waitMs: 32 * 36e5 });
    time.pass(24 * 36e5);
    expect(await take()).toMatchObject({ ok: false, waitMs: 8 * 36e5 });
    time.pass(8 * 36e5);
    expect((await take()).ok).toBe(true);
    expect((await take()).waitMs).toBe(24 * 36e5);
    time.pass(-3 * 24 * 36e5);
    expect(await take()).toMatchObject({ ok: false, waitMs: 24 * 36e5 });
    time.pass(24 * 36e5);
    expect((await take()).ok).toBe(true);
  });
});
