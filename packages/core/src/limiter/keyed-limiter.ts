import { badOption, type Clock, currentContext, durationMs, joinSignals, remainingMs } from '../kernel/index.js';
import type { AccountVerdict } from './account-verdict.js';
import { type Admission, Admissions, type Request } from './admissions.js';
import type { Cost, CostByUnit, DecidedBy, Decision, Reservation } from './contract.js';
import { CostPlan } from './cost.js';
import { AllowedDecision, RefusedDecision } from './decision.js';
import type { Desk, DeskAnswer } from './desk.js';
import type { Amounts, Dimension, Verdict, WindowDimension } from './dimensions.js';
import type { LimiterEvent } from './events.js';
import { OpenLease } from './lease.js';
import { checkKey, checkReserveCall, checkTakeCall } from './limiter-call.js';
import type { EstimateOf, Limiter, ProviderAnswer, ReserveCall, TakeCall } from './limiter-types.js';
import { MemoryDesk } from './memory-desk.js';
import { observedFetch } from './observed-fetch.js';
import { OpenLeases } from './open-leases.js';
import { OutputEstimates } from './output-estimates.js';
import { ProviderFeedback, type ProviderFeedbackOptions } from './provider-feedback.js';
import type { LimiterStatus } from './status.js';

export interface KeyedLimiterOptions extends Pick<ProviderFeedbackOptions, 'adaptive'> {
  readonly name: string;
  readonly dimensions: readonly Dimension[];
  readonly desk: Desk<DeskAnswer | Promise<DeskAnswer>>;
  readonly timeoutMs: number;
  readonly leaseTtlMs: number;
  readonly agingMs: number;
  readonly maxWaiting: number;
  readonly shareOf: (tenant: string) => number;
  readonly clock: Clock;
  readonly report: ((event: LimiterEvent) => void) | undefined;
}

const usualPriority = 5;
const noCall: ReserveCall = {};

/** What a reservation asks for. */
interface Offer {
  readonly key: string;
  readonly amounts: Amounts;
  readonly cost: CostByUnit;
  readonly ttlMs: number;
  readonly estimate: EstimateOf | undefined;
}

/** Prices what is asked for, has it admitted, and says what came of it: as decisions, as events, as leases. */
export class KeyedLimiter implements Limiter {
  readonly name: string;
  readonly isShared: boolean;
  readonly #options: KeyedLimiterOptions;
  /** Where all accounts are in this process, and nobody has to be waited for. */
  readonly #memory: MemoryDesk | undefined;
  readonly #where: string;
  readonly #costs: CostPlan;
  readonly #estimates: OutputEstimates;
  readonly #feedback: ProviderFeedback;
  readonly #admissions: Admissions;
  readonly #hasPlaces: boolean;
  readonly #window: WindowDimension | undefined;
  readonly #dimensions: readonly Dimension[];
  readonly #open = new OpenLeases();

  constructor(options: KeyedLimiterOptions) {
    const { name, dimensions, desk, adaptive, clock, report } = options;
    this.name = name;
    this.isShared = desk.isShared;
    this.#options = options;
    this.#dimensions = dimensions;
    const [first] = dimensions;
    this.#window =
      dimensions.length === 1 && first?.kind === 'window' && first.burst === undefined && !report && first.limit >= 1
        ? first
        : undefined;
    this.#memory = desk instanceof MemoryDesk ? desk : undefined;
    this.#where = `limiter '${name}'`;
    this.#costs = new CostPlan(this.#where, dimensions);
    this.#estimates = new OutputEstimates(dimensions);
    this.#hasPlaces = dimensions.some(({ kind }) => kind === 'concurrency');
    this.#feedback = new ProviderFeedback({
      dimensions,
      adaptive,
      clock,
      onChange: report && ((change) => report({ type: 'limiter.rate-changed', limiter: name, ...change })),
      onFreed: (key) => this.#admissions.wake(key),
    });
    this.#admissions = new Admissions({ ...options, what: this.#where, feedback: this.#feedback });
  }

  tryTake(key = '', cost?: Cost): Decision {
    const memory = this.#memory ?? this.#ownMemory('tryTake()');
    return (cost === undefined ? this.#takeOne(memory, key) : undefined) ?? this.#tryTake(memory, key, cost);
  }

  /** The way of nearly every request: one of a single window, while nobody waits. Undefined: to be seen to with all care. */
  #takeOne(memory: MemoryDesk, key: string): AllowedDecision | undefined {
    const window = this.#window;
    if (window === undefined || !this.#isQuiet) return undefined;
    const left = memory.takeOne(key, window.limit);
    return left >= 0 ? new AllowedDecision(this.#dimensions, undefined, 'memory', left, window.windowMs) : undefined;
  }

  #tryTake(memory: MemoryDesk, key: string, cost?: Cost): Decision {
    const amounts = this.#price(key, cost);
    if (this.#isQuiet && this.#admissions.impossible(amounts) < 0)
      return this.#decidedHere(memory.decide(key, amounts));
    return this.#decide(this.#admissions.now(this.#request(key, amounts, noCall)), 0);
  }

  tryReserve(key = '', cost?: Cost, call: Pick<ReserveCall, 'ttl' | 'estimate'> = noCall): Reservation {
    this.#ownMemory('tryReserve()');
    const offer = this.#offer(key, cost, call);
    return this.#reserve(this.#admissions.now(this.#request(key, offer.amounts, noCall, offer.ttlMs)), offer, 0);
  }

  take(key = '', cost?: Cost, call?: TakeCall): Promise<Decision> {
    if (cost === undefined && call === undefined && this.#memory !== undefined && !currentContext()?.signal?.aborted) {
      const decision = this.#takeOne(this.#memory, key);
      if (decision !== undefined) return Promise.resolve(decision);
    }
    if (call === undefined && this.#isQuiet) {
      try {
        const decision = this.#atOnce(key, this.#price(key, cost));
        if (decision) return Promise.resolve(decision);
      } catch (error) {
        return Promise.reject(error);
      }
    }
    return this.#take(key, cost, call ?? noCall);
  }

  async reserve(key = '', cost?: Cost, call: ReserveCall = noCall): Promise<Reservation> {
    const offer = this.#offer(key, cost, call);
    const began = this.#options.clock.now();
    const admission = await this.#admissions.inTurn(this.#request(key, offer.amounts, call, offer.ttlMs));
    return this.#reserve(admission, offer, this.#options.clock.now() - began);
  }

  observe(answer: ProviderAnswer): void {
    this.#feedback.observe(answer);
  }

  observing(fetch: typeof globalThis.fetch, key = ''): typeof globalThis.fetch {
    return observedFetch(fetch, this.#options.clock, (answer) => this.observe({ ...answer, key }));
  }

  status(): LimiterStatus {
    const { dimensions, desk } = this.#options;
    const { keys, used, store } = desk.standing();
    const { rate, lastChange } = this.#feedback;
    return {
      dimensions: dimensions.map(({ name: dimension, unit, limit }, index) => {
        const its = used[index] ?? 0;
        return { dimension, unit, limit, used: its, remaining: Math.max(0, limit - its) };
      }),
      keys,
      waiting: this.#admissions.waiting,
      reserved: this.#open.count,
      rate,
      ...(lastChange && { lastChange }),
      ...(store && { store }),
    };
  }

  async close(): Promise<void> {
    this.#admissions.close();
    await this.#options.desk.close();
  }

  /** Nobody waits, and no provider has said a word: so it is with nearly every call. */
  get #isQuiet(): boolean {
    return this.#admissions.waiting === 0 && this.#feedback.isSilent;
  }

  /** What can be had without waiting for anybody, where asking once more costs nothing. */
  #atOnce(key: string, amounts: Amounts): Decision | undefined {
    if (this.#admissions.impossible(amounts) >= 0 || currentContext()?.signal?.aborted) return undefined;
    const { desk } = this.#options;
    if (this.#memory) {
      const verdict = this.#memory.penalises ? undefined : this.#memory.decide(key, amounts);
      return verdict?.ok ? this.#decidedHere(verdict) : undefined;
    }
    const answer = desk.takeNow?.(key, amounts);
    return answer?.verdict.ok ? this.#decided(answer.verdict, 0, answer.decidedBy) : undefined;
  }

  async #take(key: string, cost: Cost | undefined, call: TakeCall): Promise<Decision> {
    if (call !== noCall) checkTakeCall(`${this.#where}.take()`, call);
    const amounts = this.#price(key, cost);
    const began = this.#options.clock.now();
    const admission = await this.#admissions.inTurn(this.#request(key, amounts, call));
    return this.#decide(admission, this.#options.clock.now() - began);
  }

  /** Of what is taken for good. */
  #price(key: string, cost: Cost | undefined): Amounts {
    checkKey(this.#where, key);
    if (this.#hasPlaces) {
      const rule = 'left out where calls are only counted; with it use reserve(), which knows when a call is over';
      throw badOption(this.#where, 'concurrent', rule, true);
    }
    return this.#costs.amountsOf(cost);
  }

  /** Of what is reserved. */
  #offer(key: string, cost: Cost | undefined, call: ReserveCall): Offer {
    checkKey(this.#where, key);
    checkReserveCall(`${this.#where}.reserve()`, call);
    const { estimate, ttl } = call;
    const units = this.#costs.unitsOf(cost);
    const expected = estimate && this.#estimates.expected(units, estimate);
    return {
      key,
      amounts: this.#costs.amountsOf(expected ?? cost),
      cost: expected ?? units,
      ttlMs: ttl === undefined ? this.#options.leaseTtlMs : durationMs(ttl),
      estimate,
    };
  }

  #request(key: string, amounts: Amounts, call: TakeCall, leaseTtlMs?: number): Request {
    const { clock, timeoutMs } = this.#options;
    const { timeout, signal, priority = usualPriority, tenant } = call;
    const context = currentContext();
    const patienceMs = Math.min(timeout === undefined ? timeoutMs : durationMs(timeout), remainingMs(clock));
    return {
      key,
      amounts,
      tenant: tenant ?? context?.tenant ?? '',
      priority,
      deadline: clock.now() + patienceMs,
      signal: joinSignals(signal, context?.signal),
      leaseTtlMs,
    };
  }

  #decide({ answer, refused }: Admission, waitedMs: number): Decision {
    const { verdict, decidedBy } = answer;
    if (refused === undefined) return this.#decided(verdict, waitedMs, decidedBy);
    return this.#refused(verdict, refused, decidedBy);
  }

  /** As `#decided`, for what an account in this process has said just now. */
  #decidedHere(verdict: AccountVerdict): Decision {
    const { dimensions, report } = this.#options;
    if (!verdict.ok || report) return this.#decided(verdict, 0);
    return new AllowedDecision(dimensions, verdict, 'memory', verdict.left, verdict.leftResetMs);
  }

  #decided(verdict: Verdict, waitedMs: number, decidedBy: DecidedBy = 'memory'): Decision {
    const { dimensions, report } = this.#options;
    if (!verdict.ok) return this.#refused(verdict, { reason: 'quota', waitMs: verdict.waitMs }, decidedBy);
    const decision = new AllowedDecision(
      dimensions,
      verdict,
      decidedBy,
      Math.max(0, verdict.remaining[verdict.binding] ?? 0),
      verdict.resetMs[verdict.binding] ?? 0,
    );
    if (report) {
      const { dimension, remaining } = decision;
      report({ type: 'limiter.allowed', limiter: this.name, dimension, remaining, waitedMs, decidedBy });
    }
    return decision;
  }

  #refused(verdict: Verdict, why: NonNullable<Admission['refused']>, decidedBy: DecidedBy): RefusedDecision {
    const { dimensions, report } = this.#options;
    const decision = new RefusedDecision(dimensions, verdict, decidedBy, why);
    if (report) {
      const { dimension, remaining } = decision;
      report({ type: 'limiter.refused', limiter: this.name, dimension, remaining, ...why, decidedBy });
    }
    return decision;
  }

  #reserve(admission: Admission, offer: Offer, waitedMs: number): Reservation {
    const decision = this.#decide(admission, waitedMs);
    if (!decision.ok) return decision;
    const { clock, desk } = this.#options;
    const { key, amounts, cost } = offer;
    const began = clock.now();
    const lease = new OpenLease({
      where: this.#where,
      costs: this.#costs,
      charge: admission.answer.charge ?? { key, expiresAt: began + offer.ttlMs },
      amounts,
      cost,
      desk,
      clock,
      onSettled: (actual, end, answered) => {
        this.#open.delete(lease);
        if (offer.estimate && end === 'complete') this.#estimates.learn(offer.estimate, answered);
        this.#onSettled(key, lease.reserved, actual, clock.now() - began);
      },
    });
    this.#open.add(lease);
    return Object.assign(decision, { lease });
  }

  #onSettled(key: string, reserved: CostByUnit, actual: CostByUnit, heldMs: number): void {
    this.#admissions.onReleased(heldMs);
    this.#admissions.wake(key);
    this.#options.report?.({ type: 'limiter.settled', limiter: this.name, reserved, actual });
  }

  #ownMemory(call: string): MemoryDesk {
    if (this.#memory) return this.#memory;
    const rule = `left out where ${call} is called: a store takes a moment, so use take() or reserve() with a timeout of 0`;
    throw badOption(this.#where, 'store', rule, this.#options.desk);
  }
}
