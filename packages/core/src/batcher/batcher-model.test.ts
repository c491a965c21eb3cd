import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SimulatedClock } from '../../test/simulated-clock.js';
import { type Random, runInContext, seededRandom } from '../kernel/index.js';
import { type Batcher, type BatcherOptions, createBatcher } from './index.js';

/** What is asked for, and how it behaves. */
interface Parcel {
  readonly id: number;
  readonly key: number;
  readonly tenant: string;
  readonly weight: number;
  readonly isPoison: boolean;
}

/** How the backend treats whole calls. */
interface Backend {
  /** Of calls that fail for a moment, and of those that answer some items first. */
  readonly transient: number;
  readonly partly: number;
  /** Whether poison is refused by a status, or by an error that says nothing. */
  readonly says: 'status' | 'nothing' | 'item';
  readonly capItems: number;
}

class BadItem extends Error {
  readonly keys: readonly number[];
  constructor(keys: readonly number[], status: number | undefined) {
    super(`cannot read ${keys}`);
    this.keys = keys;
    if (status !== undefined) Object.assign(this, { status });
  }
}

class Busy extends Error {
  readonly status = 503;
}

/**
 * A batcher in a world that knows the truth: it watches every limit at every call, and says of every outcome whether that is
 * what a caller is due.
 */
class World {
  readonly clock = new SimulatedClock();
  readonly batcher: Batcher<Parcel, string>;
  readonly wrongs: string[] = [];
  readonly outcomes = { answered: 0, poisoned: 0, busy: 0, left: 0 };
  readonly #random: Random;
  readonly #backend: Backend;
  readonly #options: BatcherOptions<Parcel, number>;
  readonly #waiting = new Map<number, number>();
  #underWay = 0;

  constructor(seed: number, backend: Backend, options: BatcherOptions<Parcel, number>) {
    this.#random = seededRandom(seed);
    this.#backend = backend;
    this.#options = options;
    const { clock } = this;
    this.batcher = createBatcher<Parcel, string, number>((parcels, call) => this.#serve(parcels, call), {
      ...options,
      key: ({ key }) => key,
      weight: ({ weight }) => weight,
      clock,
      random: this.#random,
    });
  }

  load(parcel: Parcel, leaveAfterMs: number | undefined, deadlineMs: number | undefined): Promise<void> {
    const leaving = leaveAfterMs === undefined ? undefined : new AbortController();
    const { clock, outcomes } = this;
    const goesAway =
      clock.now() + Math.min(leaveAfterMs ?? Number.POSITIVE_INFINITY, deadlineMs ?? Number.POSITIVE_INFINITY);
    if (leaving) clock.schedule(leaveAfterMs ?? 0, () => leaving.abort(new Error(`left ${parcel.id}`)));
    const context = {
      tenant: parcel.tenant,
      ...(deadlineMs === undefined ? {} : { deadline: clock.now() + deadlineMs }),
    };
    const { key } = parcel;
    const waiting = (by: number): void => void this.#waiting.set(key, (this.#waiting.get(key) ?? 0) + by);
    waiting(1);
    let isSettled = false;
    const settle = (): void => {
      if (isSettled) this.#wrong(`${parcel.id} has two outcomes`);
      isSettled = true;
      waiting(-1);
      if (clock.now() > goesAway + 1e-6)
        this.#wrong(`${parcel.id} was told ${clock.now() - goesAway} ms after it left`);
      if (leaving && getEventListeners(leaving.signal, 'abort').length > 0) this.#wrong(`${parcel.id} left a listener`);
    };
    return runInContext(context, () => this.batcher.load(parcel, leaving ? { signal: leaving.signal } : {})).then(
      (answer) => {
        settle();
        outcomes.answered++;
        if (parcel.isPoison || answer !== `${parcel.tenant} ${key}`) this.#wrong(`${parcel.id} got ${answer}`);
      },
      (error: Error & { code?: string }) => {
        settle();
        if (error instanceof BadItem) {
          outcomes.poisoned++;
          if (!parcel.isPoison) this.#wrong(`${key} pays for ${error.keys}`);
        } else if (error instanceof Busy) outcomes.busy++;
        else if (error.message === `left ${parcel.id}` || (error.code === 'WP_DEADLINE' && deadlineMs !== undefined)) {
          outcomes.left++;
          if (clock.now() < goesAway - 1e-6) this.#wrong(`${parcel.id} was thrown out early`);
        } else this.#wrong(`${parcel.id} got ${error}`);
      },
    );
  }

  async #serve(
    parcels: readonly Parcel[],
    call: { signal: AbortSignal; settle(index: number, result: string | Error): void },
  ): Promise<(string | Error)[] | undefined> {
    const { maxItems = 32, maxWeight = Number.POSITIVE_INFINITY, maxConcurrent = 16 } = this.#options;
    const [{ tenant } = { tenant: '' }] = parcels;
    const keys = parcels.map(({ key }) => key);
    const weight = parcels.reduce((sum, each) => sum + each.weight, 0);
    this.#underWay++;
    if (this.#underWay > maxConcurrent) this.#wrong(`${this.#underWay} calls under way`);
    if (parcels.length > maxItems || weight > maxWeight + 1e-9) this.#wrong(`${parcels.length} items of ${weight}`);
    if (parcels.some((each) => each.tenant !== tenant)) this.#wrong('two tenants in a batch');
    if (new Set(keys).size < keys.length) this.#wrong(`the same twice: ${keys}`);
    const ids = parcels.map(({ id }) => id);
    if (ids.some((id, index) => index > 0 && id < (ids[index - 1] ?? 0))) this.#wrong(`out of order: ${ids}`);
    const unwanted = keys.find((key) => (this.#waiting.get(key) ?? 0) === 0);
    if (unwanted !== undefined) this.#wrong(`${unwanted} was sent though nobody waits for it`);
    const answerOf = ({ tenant: of, key }: Parcel): string => `${of} ${key}`;
    const { transient, partly, says, capItems } = this.#backend;
    await new Promise<void>((resolve) => this.clock.schedule(1 + Math.floor(this.#random() * 30), resolve));
    this.#underWay--;
    const bad = parcels.filter(({ isPoison }) => isPoison).map(({ key }) => key);
    const status = says === 'status' ? 400 : undefined;
    if (this.#random() < transient) {
      if (this.#random() < partly)
        for (const [index, parcel] of parcels.entries())
          if (index % 2 === 0 && !parcel.isPoison) call.settle(index, answerOf(parcel));
      throw new Busy('busy');
    }
    if (parcels.length > capItems) throw Object.assign(new Error(`too many inputs`), { status: 413 });
    if (bad.length > 0 && says !== 'item') throw new BadItem(bad, status);
    return parcels.map((parcel) => (parcel.isPoison ? new BadItem([parcel.key], status) : answerOf(parcel)));
  }

  #wrong(what: string): void {
    if (this.wrongs.length < 10) this.wrongs.push(`${this.clock.now().toFixed(1)}: ${what}`);
  }
}

const load = fc.record({
  key: fc.nat(12),
  tenant: fc.constantFrom('a', 'b'),
  waitMs: fc.constantFrom(0, 0, 0, 1, 7, 40, 300),
  leaveAfterMs: fc.option(fc.constantFrom(0, 3, 25, 400), { freq: 4, nil: undefined }),
  deadlineMs: fc.option(fc.constantFrom(5, 30, 90, 1_000), { freq: 4, nil: undefined }),
});

const backends = fc.record({
  transient: fc.constantFrom(0, 0, 0.2, 0.8),
  partly: fc.constantFrom(0, 1),
  says: fc.constantFrom('status' as const, 'item' as const),
  capItems: fc.constantFrom(1_000, 1_000, 3),
});

describe('whatever is asked for, and whatever the backend does', () => {
  it('each load has one outcome, the one it is due; no limit is exceeded, nothing is left behind', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(load, { maxLength: 60, size: 'max' }),
        backends,
        fc.record({
          maxItems: fc.integer({ min: 1, max: 9 }),
          maxWeight: fc.constantFrom(10, 25),
          maxConcurrent: fc.integer({ min: 1, max: 4 }),
          window: fc.constantFrom(0, 10, 50),
          attempts: fc.integer({ min: 1, max: 3 }),
        }),
        fc.nat(1_000),
        async (loads, backend, options, seed) => {
          const world = new World(seed, backend, options);
          const { clock, batcher } = world;
          const work: Promise<void>[] = [];
          let now = 0;
          for (const [id, { waitMs, leaveAfterMs, deadlineMs, key, tenant }] of loads.entries()) {
            now += waitMs;
            if (waitMs > 0) await clock.runUntil(now);
            // A key is of one tenant, weight and nature.
            const parcel = {
              id,
              tenant,
              key: tenant === 'a' ? key : key + 100,
              weight: key % 11,
              isPoison: key % 6 === 5,
            };
            work.push(world.load(parcel, leaveAfterMs, deadlineMs));
          }
          await clock.runUntil(now + 200_000);
          await Promise.all(work);
          expect(world.wrongs).toEqual([]);
          expect(batcher.stats()).toMatchObject({ waiting: 0, underWay: 0 });
          await batcher.close();
          expect(clock.pending).toBe(0);
        },
      ),
      { numRuns: 150 },
    ));

  it('holds for a million loads of which some are poison, some leave, and calls fail', async () => {
    const random = seededRandom(20_261_121);
    const world = new World(
      7,
      { transient: 0.02, partly: 0.5, says: 'status', capItems: 24 },
      { maxWeight: 200, maxWaiting: 1e6 },
    );
    const { clock, batcher } = world;
    const perTick = 500;
    for (let id = 0; id < 1_000_000; id++) {
      const number = Math.floor(random() * 50_000);
      const tenant = `t${number % 3}`;
      const parcel = { id, key: number, tenant, weight: number % 12, isPoison: number % 997 === 0 };
      // Whole milliseconds, so that much happens at once and virtual time goes fast.
      const leaveAfterMs = random() < 0.03 ? Math.floor(random() * 40) : undefined;
      void world.load(parcel, leaveAfterMs, random() < 0.03 ? Math.floor(5 + random() * 200) : undefined);
      if (id % perTick === perTick - 1) await clock.runUntil(clock.now() + 15);
    }
    await clock.runUntil(clock.now() + 120_000);
    expect(world.wrongs).toEqual([]);
    const { answered, poisoned, busy, left } = world.outcomes;
    expect(answered + poisoned + busy + left).toBe(1_000_000);
    expect([answered > 900_000, poisoned > 500, busy > 100, left > 1_000]).toEqual([true, true, true, true]);
    expect(batcher.stats()).toMatchObject({ waiting: 0, underWay: 0 });
    expect(clock.pending).toBe(0);
  }, 120_000);
});
