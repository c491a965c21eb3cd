import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFakeClock, type FakeClock } from '../../testing/index.js';
import { dueBy } from './priority-classes.js';
import { type Attempt, type Outcome, WaitingRoom, type Wish } from './waiting-room.js';

const weights: Readonly<Record<string, number>> = { a: 1, b: 3, c: 0.5 };
const weightOf = (tenant: string): number => weights[tenant] ?? 1;

interface Asked {
  readonly tenant: string;
  readonly cost: number;
  readonly due: number;
  readonly priority: number;
}

interface ModelItem extends Asked {
  readonly sequence: number;
  level: number;
  riseAt: number;
}

/** The order of one key as the documentation says it: one list, everything found by looking at all of it. */
class OrderModel<T extends Asked> {
  readonly #agingMs: number;
  readonly #items = new Map<T, ModelItem>();
  readonly #starts = new Map<string, number>();
  readonly #virtualTimes: number[] = Array.from({ length: 10 }, () => 0);
  #sequence = 0;

  constructor(agingMs: number) {
    this.#agingMs = agingMs;
  }

  get all(): T[] {
    return [...this.#items.keys()];
  }

  add(asked: T, now: number): void {
    this.#rise(now);
    const { tenant, cost, due, priority } = asked;
    const riseAt = now + this.#agingMs;
    this.#place(asked, { tenant, cost, due, priority, level: priority, riseAt, sequence: this.#sequence++ });
  }

  next(now: number): T | undefined {
    this.#rise(now);
    const next = this.#next();
    return this.all.find((asked) => this.#items.get(asked) === next);
  }

  serve(asked: T): void {
    const item = this.#items.get(asked);
    if (item === undefined) return;
    const start = this.#startOf(item) + item.cost / weightOf(item.tenant);
    this.#starts.set(`${item.level} ${item.tenant}`, start);
    this.#virtualTimes[item.level] = Math.max(this.#virtualTimes[item.level] ?? 0, start);
    this.remove(asked);
  }

  remove(asked: T): void {
    const item = this.#items.get(asked);
    this.#items.delete(asked);
    if (item === undefined) return;
    const { level, tenant } = item;
    const others = [...this.#items.values()].filter((other) => other.level === level);
    if (!others.some((other) => other.tenant === tenant)) this.#starts.delete(`${level} ${tenant}`);
    if (others.length === 0) this.#virtualTimes[level] = 0;
  }

  #rise(now: number): void {
    for (;;) {
      const due = [...this.#items].filter(([, { level, riseAt }]) => level > 0 && riseAt <= now);
      const first = due.sort(([, a], [, b]) => a.riseAt - b.riseAt || a.sequence - b.sequence)[0];
      if (first === undefined) return;
      const [asked, item] = first;
      this.remove(asked);
      this.#place(asked, { ...item, level: item.level - 1, riseAt: item.riseAt + this.#agingMs });
    }
  }

  #place(asked: T, item: ModelItem): void {
    const served = this.#next();
    if (served !== undefined)
      this.#virtualTimes[served.level] = Math.max(this.#virtualTimes[served.level] ?? 0, this.#tagOf(served));
    this.#starts.set(`${item.level} ${item.tenant}`, this.#startOf(item));
    this.#items.set(asked, item);
  }

  #next(): ModelItem | undefined {
    const items = [...this.#items.values()];
    const level = Math.min(...items.map((item) => item.level));
    const heads = [...Map.groupBy(items, ({ level, tenant }) => `${level} ${tenant}`).values()].flatMap((of) =>
      of
        .filter((item) => item.level === level)
        .sort((a, b) => (a.due < b.due ? -1 : a.due > b.due ? 1 : a.sequence - b.sequence))
        .slice(0, 1),
    );
    return heads.sort((a, b) => this.#tagOf(a) - this.#tagOf(b) || a.sequence - b.sequence)[0];
  }

  #startOf({ level, tenant }: ModelItem): number {
    return this.#starts.get(`${level} ${tenant}`) ?? this.#virtualTimes[level] ?? 0;
  }

  #tagOf(item: ModelItem): number {
    return this.#startOf(item) + item.cost / weightOf(item.tenant);
  }
}

interface ModelWish extends Wish, Asked {
  readonly due: number;
  readonly cost: number;
}

/** A limiter of one dimension: for each key some credit, which grows by 1 a millisecond. */
class Credits {
  readonly #clock: FakeClock;
  readonly #lacking = new Map<string, number>();
  spent = 0;

  constructor(clock: FakeClock) {
    this.#clock = clock;
  }

  of(key: string): number {
    return this.#clock.now() - (this.#lacking.get(key) ?? 0);
  }

  grant(key: string, amount: number): void {
    this.#lacking.set(key, (this.#lacking.get(key) ?? 0) - amount);
  }

  spend(key: string, amount: number): void {
    this.grant(key, -amount);
    this.spent += amount;
  }
}

interface Entered {
  readonly wish: ModelWish;
  readonly controller: AbortController | undefined;
  end?: Outcome<number> | Error;
  endedAt?: number;
}

/** A room in front of credits, where every attempt is compared with what the model says is next. */
class Play {
  readonly clock: FakeClock = createFakeClock();
  readonly credits: Credits = new Credits(this.clock);
  readonly models: Map<string, OrderModel<ModelWish>> = new Map();
  readonly entered: Entered[] = [];
  readonly pending: Map<string, (outcome: 'arrives' | 'fails') => void> = new Map();
  readonly controllers: AbortController[] = [];
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

  enter(shape: {
    key: string;
    tenant: string;
    priority: number;
    cost: number;
    timeoutMs: number;
    abortable: string;
  }): void {
    const { timeoutMs, abortable, ...rest } = shape;
    const now = this.clock.now();
    const controller = this.#controllerOf(abortable);
    // A fraction of its own: so no deadline is the instant of something else.
    const deadline = now + timeoutMs + (this.entered.length + 1) / 4_096;
    const signal = controller?.signal;
    const due = dueBy(deadline, now, this.#aging);
    const wish: ModelWish = { ...rest, amounts: [shape.cost], deadline, due, signal };
    const entered: Entered = { wish, controller };
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
    for (const { wish } of this.entered) if (wish.signal === controller.signal) this.modelOf(wish.key).remove(wish);
    controller.abort(new Error('aborted'));
  }

  modelOf(key: string): OrderModel<ModelWish> {
    const model = this.models.get(key) ?? new OrderModel<ModelWish>(this.#aging);
    this.models.set(key, model);
    for (const wish of model.all) if (wish.deadline <= this.clock.now()) model.remove(wish);
    return model;
  }

  /** Nobody is waiting who need not, and one timer does for all. */
  check(): void {
    expect(this.clock.pending).toBeLessThanOrEqual(this.room.size > 0 ? 1 : 0);
    const waiting = [...this.models.keys()].map((key) => this.modelOf(key).all.length);
    expect(this.room.size).toBe(waiting.reduce((sum, count) => sum + count, 0));
    const kept = this.entered.reduce((sum, { end, wish }) => sum + (end && 'verdict' in end ? wish.cost : 0), 0);
    if (this.pending.size === 0) expect(this.credits.spent).toBe(kept);
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
    const kept = this.entered.reduce((sum, { end, wish }) => sum + (end && 'verdict' in end ? wish.cost : 0), 0);
    expect(this.credits.spent).toBe(kept);
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
    expect(this.pending.has(key)).toBe(false);
    expect(wish).toBe(this.modelOf(key).next(this.clock.now()));
    const ok = this.credits.of(key) >= cost;
    if (ok) this.credits.spend(key, cost);
    const attempt = { ok, waitMs: cost - this.credits.of(key), verdict: cost, isUpperBound: cost % 2 === 0 };
    if (!this.#isAsync) {
      if (ok) this.modelOf(key).serve(wish);
      return attempt;
    }
    return new Promise((resolve, reject) => {
      this.pending.set(key, (outcome) => {
        this.pending.delete(key);
        if (outcome === 'fails' && ok) this.credits.spend(key, -cost);
        if (outcome === 'fails') this.modelOf(key).remove(wish);
        else if (ok) this.modelOf(key).serve(wish);
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
      { numRuns: 150 },
    );
  });
});
