import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import type { Clock } from './clock.js';

/** Why a physical attempt was made. All but the first draw from the budget. */
export type AttemptKind = 'first' | 'retry' | 'hedge' | 'fallback' | 'split';

/** `refused`: nothing was sent, since a breaker, a limit or a closed port was in the way. */
export type AttemptOutcome = 'ok' | 'failed' | 'aborted' | 'refused';

/** One physical attempt, as it is written into the ledger and reported. */
export interface Attempt {
  readonly kind: AttemptKind;
  readonly target: string;
  readonly ms: number;
  readonly outcome: AttemptOutcome;
}

/** The attempts of one logical call over all its layers, so that nested retries do not multiply. */
export interface AttemptLedger {
  /** The most attempts that this call may make, whoever makes them. */
  readonly limit: number;
  /** Attempts begun so far. */
  readonly used: number;
  /** The finished attempts, oldest first; never more than `limit`. */
  readonly attempts: readonly Attempt[];
  /** Takes one attempt, or says no when the limit is reached. */
  begin(): boolean;
  record(attempt: Attempt): void;
}

/** What retries, hedges, fallbacks and splits of many calls share, so that trouble is not multiplied by trying again. */
export interface AttemptBudget {
  /** A first attempt was made: earns a fraction of an extra one. */
  deposit(): void;
  /** Takes one extra attempt, or says no when too few have been earned. */
  withdraw(kind: Exclude<AttemptKind, 'first'>): boolean;
}

/** The attempt that a layer which tries again is making: what the first attempt of a layer inside is the same as. */
export interface RunningAttempt {
  readonly kind: AttemptKind;
  /** How long was waited before it, in milliseconds. */
  readonly waitedMs: number;
  /** Whether whoever makes it makes another one when it fails: then nobody inside does. */
  readonly isRetried: boolean;
  /** Set by the layer inside that reports it in place of the one outside. */
  claimed: boolean;
}

/** What every layer of one call knows: who asks, how long there is, what has been tried. */
export interface CallContext {
  readonly tenant?: string | undefined;
  /** Aborted when nobody wants the answer any more. */
  readonly signal?: AbortSignal | undefined;
  /** The instant on the clock's monotonic scale, in milliseconds, after which the answer is worth nothing. */
  readonly deadline?: number | undefined;
  /** Of the whole call, where `deadline` is that of one attempt: what is read after the attempt may take so long. Infinity for none. */
  readonly wholeDeadline?: number | undefined;
  /** Of the logical call under way; opened by the outermost layer that tries again. */
  readonly ledger?: AttemptLedger | undefined;
  readonly running?: RunningAttempt | undefined;
  readonly budget?: AttemptBudget | undefined;
  /** How often the caller has tried before by itself, as it says: a call that is a repetition earns no further ones. */
  readonly callerRetries?: number | undefined;
  /** For traces: bounded by whoever sets them. */
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
}

const storage = new AsyncLocalStorage<CallContext>();

/** The context of the call that is running, if any. Cost: one read of AsyncLocalStorage. */
export function currentContext(): CallContext | undefined {
  return storage.getStore();
}

/**
 * Runs `work` in a context made from the current one: the tenant, ledger and budget are inherited unless given, the
 * attributes are merged, the signal is aborted with either signal, and the earlier deadline counts.
 */
export function runInContext<T>(context: Partial<CallContext>, work: () => T): T {
  const outer = storage.getStore();
  const merged: CallContext = {
    tenant: context.tenant ?? outer?.tenant,
    signal: joinSignals(outer?.signal, context.signal),
    deadline: earlier(outer?.deadline, context.deadline),
    wholeDeadline: outer?.wholeDeadline === undefined ? undefined : earlier(outer.wholeDeadline, context.deadline),
    ledger: context.ledger ?? outer?.ledger,
    running: context.running ?? outer?.running,
    budget: context.budget ?? outer?.budget,
    callerRetries: context.callerRetries ?? outer?.callerRetries,
    attributes: { ...outer?.attributes, ...context.attributes },
  };
  return runBare(merged, work);
}

/**
 * Runs work that several callers wait for. It is nobody's own: it obeys the signal of `source` alone, has no caller's deadline,
 * ledger or attributes, and knows only the tenant that all of its callers share; undefined where they share none.
 * @param source is asked for its signal when somebody looks at it, so it may be made only then
 * @param budget what extra attempts inside are drawn from
 */
export function runShared<T>(
  source: { readonly signal: AbortSignal },
  tenant: string | undefined,
  budget: AttemptBudget | undefined,
  work: () => T,
): T {
  return runBare(new SharedContext(source, tenant, budget), work);
}

/** Runs `work` in a context that is complete as it is: nothing of the current one is added. */
export function runWithin<Context extends CallContext, T>(context: Context, work: (context: Context) => T): T {
  // Like `storage.run`, for little more than half of it: that makes what every AsyncLocalStorage holds anew twice, to enter and to leave.
  return new AsyncResource('WarmpathCall').runInAsyncScope(enter<Context, T>, undefined, context, work);
}

function enter<Context extends CallContext, T>(context: Context, work: (context: Context) => T): T {
  storage.enterWith(context);
  return work(context);
}

/** For work that must not be given anything, such as the `next` of a middleware. */
function runBare<T>(context: CallContext, work: () => T): T {
  return runWithin(context, () => work());
}

const outside = AsyncLocalStorage.snapshot();

/**
 * Runs work in no call at all: in no context of ours, nor in what an application keeps in an AsyncLocalStorage of its own. For
 * work that is set off by one caller's call and done for others. What surrounds this file when it is loaded stays for good, since there
 * is no way out of that: an application that loads it within a request would show that one's data to all others.
 */
export function runOutside<T>(work: () => T): T {
  return outside(work);
}

class SharedContext implements CallContext {
  readonly tenant: string | undefined;
  readonly budget: AttemptBudget | undefined;
  readonly attributes: CallContext['attributes'] = noAttributes;
  readonly #source: { readonly signal: AbortSignal };

  constructor(source: { readonly signal: AbortSignal }, tenant: string | undefined, budget: AttemptBudget | undefined) {
    this.#source = source;
    this.tenant = tenant;
    this.budget = budget;
  }

  get signal(): AbortSignal {
    return this.#source.signal;
  }
}

const noAttributes: CallContext['attributes'] = Object.freeze({});

/** Until when a call may go on that outlives the attempt in which it began, as a body does: Infinity for ever. */
export function wholeDeadlineOf(context: CallContext | undefined): number {
  return context?.wholeDeadline ?? context?.deadline ?? Number.POSITIVE_INFINITY;
}

/** Milliseconds until the running call's deadline: Infinity without one, never below 0. */
export function remainingMs(clock: Clock): number {
  const deadline = currentContext()?.deadline;
  return deadline === undefined ? Number.POSITIVE_INFINITY : Math.max(0, deadline - clock.now());
}

/** @param limit 16 allows a handful of backends a handful of tries each and stops a loop */
export function createLedger(limit = 16): AttemptLedger {
  return new Ledger(limit);
}

class Ledger implements AttemptLedger {
  readonly limit: number;
  #used = 0;
  #attempts: Attempt[] | undefined;

  constructor(limit: number) {
    this.limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  get attempts(): readonly Attempt[] {
    return this.#attempts ?? [];
  }

  begin(): boolean {
    if (this.#used >= this.limit) return false;
    this.#used++;
    return true;
  }

  record(attempt: Attempt): void {
    this.#attempts ??= [];
    if (this.#attempts.length < this.limit) this.#attempts.push(attempt);
  }
}

/** A signal that is aborted with the first of those given; undefined when none is. */
export function joinSignals(...signals: readonly (AbortSignal | undefined)[]): AbortSignal | undefined {
  const [first, second] = signals;
  if (signals.length === 2 && (!first || !second || first === second)) return first ?? second;
  const distinct = [...new Set(signals.filter((signal) => signal !== undefined))];
  return distinct.length > 1 ? AbortSignal.any(distinct) : distinct[0];
}

function earlier(left: number | undefined, right: number | undefined): number | undefined {
  if (left === undefined || right === undefined) return left ?? right;
  return Math.min(left, right);
}
