import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dueBy } from '../../kernel/index.js';
import { createFakeClock, type FakeClock } from '../../testing/index.js';
import { type Attempt, type Outcome, WaitingRoom, type Wish } from './waiting-room.js';

const weights: Readonly<Record<string, number>> = { a: 1, b: 3, c: 0.5 };
const weightOf = (tenant: string): number => weights[tenant] ?? 1;

interface ModelWish extends Wish {
  readonly cost: number;
  readonly due: number;
}

interface ModelItem {
  readonly wish: ModelWish;
  readonly sequence: number;
  level: number;
  riseAt: number;
}

/** The order of one key as the documentation says it: one list, everything found by looking at all of it. */
class OrderModel {
  readonly #agingMs: number;
  readonly #starts = new Map<string, number>();
  readonly #virtualTimes: number[] = Array.from({ length: 10 }, () => 0);
  #items: ModelItem[] = [];
  #sequence = 0;

  constructor(agingMs: number) {
    this.#agingMs = agingMs;
  }

  get all(): ModelWish[] {
    return this.#items.map(({ wish }) => wish);
  }

  add(wish: ModelWish, now: number): void {
    this.#rise(now);
    this.#place({ wish, level: wish.priority, riseAt: now + this.#agingMs, sequence: this.#sequence++ });
  }

  next(now: number): ModelWish | undefined {
    this.#rise(now);
    return this.#next()?.wish;
  }

  serve(wish: ModelWish, now: number): void {
    this.#rise(now);
    const item = this.#items.find((other) => other.wish === wish);
    if (item === undefined) return;
    const tag = this.#tagOf(item);
    this.#starts.set(`${item.level} ${wish.tenant}`, tag);
    this.#virtualTimes[item.level] = Math.max(this.#virtualTimes[item.level] ?? 0, tag);
    this.#leave(wish);
  }

  remove(wish: ModelWish, now: number): void {
    this.#rise(now);
    this.#leave(wish);
  }

  #leave(wish: ModelWish): void {
    const item = this.#items.find((other) => other.wish === wish);
    if (item === undefined) return;
    const { level } = item;
    this.#items = this.#items.filter((other) => other !== item);
    const others = this.#items.filter((other) => other.level === level);
    if (!others.some((other) => other.wish.tenant === wish.tenant)) this.#starts.delete(`${level} ${wish.tenant}`);
    if (others.length === 0) this.#virtualTimes[level] = 0;
  }

  #rise(now: number): void {
    for (;;) {
      const due = this.#items.filter(({ level, riseAt }) => level > 0 && riseAt <= now);
      const item = due.sort((a, b) => a.riseAt - b.riseAt || a.sequence - b.sequence)[0];
      if (item === undefined) return;
      this.#leave(item.wish);
      this.#place({ ...item, level: item.level - 1, riseAt: item.riseAt + this.#agingMs });
    }
  }

  #place(item: ModelItem): void {
    const served = this.#next();
    if (served !== undefined)
      this.#virtualTimes[served.level] = Math.max(this.#virtualTimes[served.level] ?? 0, this.#tagOf(served));
    this.#starts.set(`${item.level} ${item.wish.tenant}`, this.#startOf(item));
    this.#items.push(item);
  }

  #next(): ModelItem | undefined {
    const level = Math.min(...this.#items.map((item) => item.level));
    const first = this.#items.filter((item) => item.level === level);
    const heads = [...Map.groupBy(first, ({ wish }) => wish.tenant).values()].flatMap((of) =>
      of.sort((a, b) => (a.wish.due === b.wish.due ? a.sequence - b.sequence : a.wish.due - b.wish.due)).slice(0, 1),
    );
    return heads.sort((a, b) => this.#tagOf(a) - this.#tagOf(b) || a.sequence - b.sequence)[0];
  }

  #startOf({ level, wish }: ModelItem): number {
    return this.#starts.get(`${level} ${wish.tenant}`) ?? this.#virtualTimes[level] ?? 0;
  }

  #tagOf(item: ModelItem): number {
    return this.#startOf(item) + item.wish.cost / weightOf(item.wish.tenant);
  }
}

/** A limiter of one dimension: for each key some credit, which grows by 1 each four milliseconds. */
class Credits {
  readonly #clock: FakeClock;
  readonly #lacking = new Map<string, number>();
  spent = 0;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  of(key: string): number {
    return this.#clock.now() / 4 - (this.#lacking.get(key) ?? 0);
  }

  grant(key: string, amount: number): void {
    this.#lacking.set(key, (this.#lacking.get(key) ?? 0) - amount);
  }

  spend(key: string, amount: number): void {
    this.grant(key, -amount);
    this.spent += amount;
  }
}

type Shape = Pick<ModelWish, 'key' | 'tenant' | 'priority' | 'cost'> & { timeoutMs: number; abortable: string };

interface Entered {
  readonly wish: ModelWish;
  end?: Outcome<number> | Error;
  endedAt?: number;
}

/** A room in front of credits, where every attempt is compared with what the model says is next. */
class Play {
  readonly clock: FakeClock = createFakeClock();
  readonly credits: Credits = new Credits(this.clock);
  readonly models: Map<string, OrderModel> = new Map();
  readonly entered: Entered[] = [];
  readonly pending: Map<string, (outcome: 'arrives' | 'fails') => void> = new Map();
  readonly controllers: AbortController[] = [];
  readonly outOfTurn: ModelWish[] = [];
  readonly room: WaitingRoom<number, ModelWish>;
  readonly #aging: number;
  readonly #isAsync: boolean;

  constructor(aging: number, isAsync: boolean) {
    this.#aging = aging;
    this.#isAsync = isAsync;
    this.room = new WaitingRoom<number, ModelWish>({
      clock: this.clock,
      attempt: (wish) => this.#attempt(wish),
      giveBack: ({ key }, amount) => this.credits.spend(key, -amount),
      costOf: ({ cost }) => cost,
      predictMs: () => 0,
      weightOf,
      agingMs: aging,
      maxWaiting: 1_000,
      what: 'test',
    });
  }

  enter(shape: Shape): void {
    const { timeoutMs, abortable, ...rest } = shape;
    const now = this.clock.now();
    // A fraction of its own: so no deadline is the instant of something else.
    const deadline = now + timeoutMs + (this.entered.length + 1) / 4_096;
    const signal = this.#controllerOf(abortable)?.signal;
    const due = dueBy(deadline, now, this.#aging);
    const wish: ModelWish = { ...rest, amounts: [shape.cost], deadline, due, signal };
    const entered: Entered = { wish };
    this.entered.push(entered);
    if (signal?.aborted !== true) this.modelOf(wish.key).add(wish, now);
    const end = (what: Outcome<number> | Error): void => {
      expect(entered.end).toBeUndefined();
      entered.end = what;
      entered.endedAt = this.clock.now();
    };
    this.room.enter(wish).then(end, end);
  }

  abort(controller: AbortController): void {
    for (const { wish } of this.entered)
      if (wish.signal === controller.signal) this.modelOf(wish.key).remove(wish, this.clock.now());
    controller.abort(new Error('aborted'));
  }

  modelOf(key: string): OrderModel {
    const model = this.models.get(key) ?? new OrderModel(this.#aging);
    this.models.set(key, model);
    const expired = model.all.filter(({ deadline }) => deadline <= this.clock.now());
    for (const wish of expired.sort((a, b) => a.deadline - b.deadline)) model.remove(wish, wish.deadline);
    return model;
  }

  /** Nobody is waiting who need not, and one timer does for all. */
  check(): void {
    expect(this.outOfTurn).toEqual([]);
    expect(this.clock.pending).toBeLessThanOrEqual(this.room.size > 0 ? 1 : 0);
    const waiting = [...this.models.keys()].map((key) => this.modelOf(key).all.length);
    expect(this.room.size).toBe(waiting.reduce((sum, count) => sum + count, 0));
    if (this.pending.size === 0) expect(this.credits.spent).toBe(this.#granted());
    for (const [key, model] of this.models) {
      if (this.#isAsync || this.#aging < Number.POSITIVE_INFINITY) continue;
      const next = model.next(this.clock.now());
      if (next !== undefined) expect(this.credits.of(key)).toBeLessThan(next.cost);
    }
    for (const { end, endedAt, wish } of this.entered) {
      if (end === undefined) expect(wish.deadline).toBeGreaterThan(this.clock.now());
      else if ('refused' in end) expect([end.refused, endedAt]).toEqual(['deadline', wish.deadline]);
      else expect(endedAt).toBeLessThan(wish.deadline);
    }
  }

  /** Closes the room: nobody is left, nothing is kept, and what arrives now is given back. */
  async end(): Promise<void> {
    this.room.close();
    await this.clock.settle();
    expect([this.room.size, this.clock.pending]).toEqual([0, 0]);
    for (const arrive of [...this.pending.values()]) arrive('arrives');
    await this.clock.settle();
    expect([this.room.keys, this.pending.size]).toEqual([0, 0]);
    for (const { end, wish } of this.entered) {
      expect(end).toBeDefined();
      if (wish.signal) expect(getEventListeners(wish.signal, 'abort')).toEqual([]);
    }
    expect(this.credits.spent).toBe(this.#granted());
  }

  #granted(): number {
    return this.entered.reduce((sum, { end, wish }) => sum + (end && 'verdict' in end ? wish.cost : 0), 0);
  }

  #controllerOf(abortable: string): AbortController | undefined {
    if (abortable === 'never') return undefined;
    const shared = this.controllers[0];
    if (abortable === 'together' && shared) return shared;
    const controller = new AbortController();
    this.controllers.push(controller);
    return controller;
  }

  #attempt(wish: ModelWish): Attempt<number> | Promise<Attempt<number>> {
    const { key, cost } = wish;
    // To throw here would be to fail, which the room bears.
    if (this.pending.has(key) || wish !== this.modelOf(key).next(this.clock.now())) this.outOfTurn.push(wish);
    const ok = this.credits.of(key) >= cost;
    if (ok) this.credits.spend(key, cost);
    const attempt = { ok, waitMs: 4 * (cost - this.credits.of(key)), verdict: cost, isUpperBound: cost % 2 === 0 };
    if (!this.#isAsync) {
      if (ok) this.modelOf(key).serve(wish, this.clock.now());
      return attempt;
    }
    return new Promise((resolve, reject) => {
      this.pending.set(key, (outcome) => {
        this.pending.delete(key);
        if (outcome === 'fails' && ok) this.credits.spend(key, -cost);
        if (outcome === 'fails') this.modelOf(key).remove(wish, this.clock.now());
        else if (ok) this.modelOf(key).serve(wish, this.clock.now());
        if (outcome === 'fails') reject(new Error('failed'));
        else resolve(attempt);
      });
    });
  }
}

const tenant = fc.constantFrom('a', 'b', 'c');
const priority = fc.oneof(fc.constant(5), fc.nat({ max: 9 }));
const agingMs = fc.constantFrom(7, 40, Number.POSITIVE_INFINITY);
const key = fc.constantFrom('k', 'l');
const timeoutMs = fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.nat({ max: 300 }));
const abortable = fc.constantFrom('never', 'alone', 'together');
const cost = fc.integer({ min: 1, max: 40 });
const playCommand = fc.oneof(
  { weight: 6, arbitrary: fc.record({ enter: fc.record({ key, tenant, priority, cost, timeoutMs, abortable }) }) },
  { weight: 3, arbitrary: fc.record({ pass: fc.nat({ max: 100 }) }) },
  { weight: 2, arbitrary: fc.record({ giveBack: key, amount: fc.integer({ min: 1, max: 60 }) }) },
  { weight: 2, arbitrary: fc.record({ abort: fc.nat() }) },
  { weight: 4, arbitrary: fc.record({ conclude: key, how: fc.constantFrom('arrives', 'arrives', 'fails') }) },
);

describe('WaitingRoom', () => {
  it('tries whoever is next by the model, spends nothing for who has left, and keeps nobody past its deadline', async () => {
    const commands = fc.array(playCommand, { maxLength: 60, size: 'max' });
    await fc.assert(
      fc.asyncProperty(agingMs, fc.boolean(), commands, async (aging, isAsync, all) => {
        const play = new Play(aging, isAsync);
        for (const each of all) {
          if ('enter' in each) play.enter(each.enter);
          else if ('pass' in each) await play.clock.advance(each.pass);
          else if ('giveBack' in each) {
            play.credits.grant(each.giveBack, each.amount);
            play.room.wake(each.giveBack);
          } else if ('conclude' in each) play.pending.get(each.conclude)?.(each.how);
          else {
            const controller = play.controllers[each.abort % Math.max(1, play.controllers.length)];
            if (controller) play.abort(controller);
          }
          await play.clock.settle();
          play.check();
        }
        await play.end();
      }),
      { numRuns: 300 },
    );
  });
});
