import { getEventListeners } from 'node:events';
import { type AttemptBudget, createLedger, type Random, runInContext, seededRandom } from '../src/kernel/index.js';
import {
  type AttemptCall,
  type AttemptEvent,
  type CountedBudget,
  createAttemptBudget,
  type PolicyCall,
  type Work,
} from '../src/retry/index.js';
import { SimulatedClock } from './simulated-clock.js';

/** A physical attempt, as the backend saw it. */
interface Reached {
  readonly call: number;
  /** It refused the connection: nothing was sent. */
  readonly isRefused: boolean;
  /** Whether it ends when its signal is aborted. */
  readonly listens: boolean;
  endedAt: number;
}

/** Somebody who asks once. */
interface Caller {
  readonly id: number;
  readonly ledgerLimit: number;
  readonly deadline: number;
  readonly leaving: AbortController;
  readonly leavesAt: number;
  settledAt: number | undefined;
  settled: number;
  outcome: unknown;
}

/** Asks for what `work` does, through the policies under test. */
export type Ask = (workAt: (backend: number) => Work<string>, call: PolicyCall) => Promise<unknown>;

/** What policies are made of here. */
export interface World {
  readonly clock: SimulatedClock;
  readonly random: Random;
  readonly budget: AttemptBudget;
  readonly onEvent: (event: { readonly type: string }) => void;
}

/** What there was, after all have gone. */
export interface Seen {
  /** Broken promises, as sentences. */
  readonly faults: readonly string[];
  /** Physical attempts that the backends counted, but for those that they refused. */
  readonly physical: number;
  /** Calls of which at least one attempt arrived, and the most attempts that arrived of one. */
  readonly served: number;
  readonly mostOfOne: number;
  /** Attempts that events told of, but for those that nothing was sent for. */
  readonly reported: number;
  /** Extra attempts that the budget has given. */
  readonly granted: number;
  readonly succeeded: number;
}

const windowMs = 10_000;
const ratio = 0.2;
const perSecond = 1;
const floor = (perSecond * windowMs) / 1_000;
const backendCount = 3;

/** What a backend is like for a while. */
interface Weather {
  readonly until: number;
  readonly failureRate: number;
  readonly latencyMs: number;
}

/**
 * Callers with little patience ask backends whose health comes and goes, on virtual time, through the policies that `make` gives.
 * Everything that chance decides follows from the seed.
 */
export async function livesThrough(make: (world: World) => Ask, seed: number, callers: number): Promise<Seen> {
  const world = new PolicyWorld(seed);
  const ask = make(world);
  const random = seededRandom(seed + 1);
  const all: Caller[] = [];
  let at = 0;
  for (let id = 0; id < callers; id++) {
    at += -Math.log(1 - random()) * 150;
    await world.clock.runUntil(at);
    const caller = callerOf(id, at, random);
    all.push(caller);
    world.serve(caller, ask);
  }
  await world.clock.runUntil(at + 3_600_000);
  for (const caller of all) world.audit(caller);
  return world.seen(all);
}

function callerOf(id: number, now: number, random: Random): Caller {
  const isHurried = random() < 0.4;
  const isImpatient = random() < 0.3;
  return {
    id,
    ledgerLimit: 1 + Math.floor(random() * 6),
    deadline: isHurried ? now + 50 + random() * 2_000 : Number.POSITIVE_INFINITY,
    leaving: new AbortController(),
    leavesAt: isImpatient ? now + random() * 1_500 : Number.POSITIVE_INFINITY,
    settledAt: undefined,
    settled: 0,
    outcome: undefined,
  };
}

class PolicyWorld implements World {
  readonly clock = new SimulatedClock();
  readonly random: Random;
  readonly budget: AttemptBudget;
  readonly #books: CountedBudget;
  readonly #chance: Random;
  readonly #reached: Reached[] = [];
  readonly #faults: string[] = [];
  readonly #deposits: number[] = [];
  readonly #grants: number[] = [];
  readonly #weather: Weather[] = [];
  readonly #callers = new Map<number, Caller>();
  #reported = 0;

  constructor(seed: number) {
    this.random = seededRandom(seed + 2);
    this.#chance = seededRandom(seed + 3);
    const kinds = ['retry', 'hedge', 'fallback', 'split'] as const;
    this.#books = createAttemptBudget({ clock: this.clock, ratio, perSecond, window: windowMs, refuses: kinds });
    this.budget = {
      deposit: () => {
        this.#deposits.push(this.clock.now());
        this.#books.deposit();
      },
      withdraw: (kind) => {
        const isGranted = this.#books.withdraw(kind);
        if (isGranted) this.#granted();
        return isGranted;
      },
    };
  }

  readonly onEvent = (event: { readonly type: string }): void => {
    if (event.type === 'attempt.ended' && (event as AttemptEvent).outcome !== 'refused') this.#reported++;
  };

  serve(caller: Caller, ask: Ask): void {
    this.#callers.set(caller.id, caller);
    const { signal } = caller.leaving;
    const deadline = caller.deadline === Number.POSITIVE_INFINITY ? undefined : caller.deadline;
    const context = { ledger: createLedger(caller.ledgerLimit), budget: this.budget, deadline };
    const settle = (outcome: unknown): void => {
      caller.settled++;
      caller.settledAt = this.clock.now();
      caller.outcome = outcome;
    };
    if (caller.leavesAt < Number.POSITIVE_INFINITY) {
      this.clock.schedule(caller.leavesAt - this.clock.now(), () =>
        caller.leaving.abort(new Error(`left ${caller.id}`)),
      );
    }
    runInContext(context, () => ask((backend) => (call) => this.#attempt(caller, backend, call), { signal })).then(
      () => settle('ok'),
      settle,
    );
  }

  audit(caller: Caller): void {
    const { id, settled, leavesAt, settledAt, outcome, leaving } = caller;
    if (settled !== 1) this.#faults.push(`caller ${id} has ${settled} outcomes`);
    if (settledAt !== undefined && settledAt > leavesAt) this.#faults.push(`caller ${id} has waited after leaving`);
    if (settledAt === leavesAt && outcome !== 'ok' && outcome !== leaving.signal.reason) {
      this.#faults.push(`caller ${id} has left, and got ${outcome}`);
    }
    if (settledAt !== undefined && settledAt > caller.deadline) this.#faults.push(`caller ${id} has waited too long`);
    const listeners = getEventListeners(leaving.signal, 'abort').length;
    if (listeners > 0) this.#faults.push(`the signal of caller ${id} has ${listeners} listeners`);
    const attempts = this.#reached.filter((each) => each.call === id && !each.isRefused);
    if (attempts.length > caller.ledgerLimit) {
      this.#faults.push(`${attempts.length} attempts for caller ${id}, whose ledger has ${caller.ledgerLimit}`);
    }
    if (attempts.some(({ listens, endedAt }) => listens && endedAt > (settledAt ?? 0))) {
      this.#faults.push(`an attempt for caller ${id} goes on, who has an outcome`);
    }
  }

  seen(all: readonly Caller[]): Seen {
    if (this.clock.pending > 0) this.#faults.push(`${this.clock.pending} timers are left`);
    const arrived = this.#reached.filter(({ isRefused }) => !isRefused);
    const byCaller = Object.values(Object.groupBy(arrived, ({ call }) => call));
    return {
      faults: this.#faults,
      physical: arrived.length,
      served: byCaller.length,
      mostOfOne: Math.max(...byCaller.map((attempts) => attempts?.length ?? 0)),
      reported: this.#reported,
      granted: this.#grants.length,
      succeeded: all.filter(({ outcome }) => outcome === 'ok').length,
    };
  }

  /** The budget forgets in tenths of its window, so what it counts is of the last 9 to 10 s. */
  #granted(): void {
    const now = this.clock.now();
    this.#grants.push(now);
    const extras = this.#grants.filter((at) => at > now - 0.9 * windowMs).length;
    const firsts = this.#deposits.filter((at) => at > now - windowMs).length;
    if (extras > ratio * firsts + floor) this.#faults.push(`${extras} extra attempts on ${firsts} at ${now}`);
  }

  async #attempt(caller: Caller, backend: number, { signal }: AttemptCall): Promise<string> {
    const now = this.clock.now();
    const weather = this.#weatherOf(backend);
    const isRefused = weather.failureRate > 0 && this.#chance() < 0.1;
    const reached: Reached = { call: caller.id, isRefused, listens: this.#chance() < 0.8, endedAt: now };
    this.#reached.push(reached);
    if (caller.leaving.signal.aborted) this.#faults.push(`an attempt for caller ${caller.id}, who has left`);
    else if (signal.aborted) this.#faults.push(`an attempt for caller ${caller.id} that is aborted before it begins`);
    if (now >= caller.deadline) this.#faults.push(`an attempt for caller ${caller.id} after the deadline`);
    if (isRefused) throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
    const error = this.#chance() < weather.failureRate ? this.#error() : undefined;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const leave = (): void => {
      reached.endedAt = this.clock.now();
      timer.cancel();
      reject(signal.reason);
    };
    const timer = this.clock.schedule(-Math.log(1 - this.#chance()) * weather.latencyMs, () => {
      reached.endedAt = this.clock.now();
      signal.removeEventListener('abort', leave);
      if (error) reject(error);
      else resolve('answer');
    });
    if (reached.listens) signal.addEventListener('abort', leave, { once: true });
    return promise;
  }

  #error(): Error {
    const kind = this.#chance();
    if (kind < 0.05) return Object.assign(new Error('bad request'), { status: 400 });
    if (kind < 0.15) return Object.assign(new Error('slow down'), { status: 429, headers: { 'retry-after': '0.3' } });
    return Object.assign(new Error('internal'), { status: 500 });
  }

  #weatherOf(backend: number): Weather {
    const place = backend % backendCount;
    const known = this.#weather[place];
    if (known && known.until > this.clock.now()) return known;
    const pick = <T>(...values: readonly [T, ...T[]]): T =>
      values[Math.floor(this.#chance() * values.length)] ?? values[0];
    const next = {
      until: this.clock.now() + 500 + this.#chance() * 4_000,
      failureRate: pick(0, 0, 0.3, 1),
      latencyMs: pick(10, 50, 400),
    };
    this.#weather[place] = next;
    return next;
  }
}
