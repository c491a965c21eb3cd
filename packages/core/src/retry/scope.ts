import {
  AbortWatch,
  type AttemptBudget,
  type AttemptLedger,
  abortReason,
  ambientRules,
  badOption,
  type CallContext,
  type Clock,
  currentContext,
  deadlineError,
  joinSignals,
  type RunningAttempt,
  runWithin,
  wholeDeadlineOf,
} from '../kernel/index.js';
import { type Alarm, alarmsOf } from './alarms.js';
import { leaveUnread } from './first-chunk.js';
import type { AttemptCall, PolicyCall, Work } from './policy.js';

const noAttributes: CallContext['attributes'] = Object.freeze({});

/** What ends with whoever waits for it. */
export interface Leaver {
  abort(reason: Error): void;
}

const leavers = new AbortWatch<Leaver>((members, signal) => {
  const reason = abortReason(signal);
  for (const member of members) member.abort(reason);
});

/** What an attempt inherits, and what the attempts of one call share. */
export interface Source {
  readonly asker: Asker;
  readonly ledger: AttemptLedger | undefined;
  readonly budget: AttemptBudget | undefined;
}

/** Who asks a policy for something: what is inherited, and how they leave. */
export class Asker implements Source {
  readonly context: CallContext | undefined;
  /** The attempt of the policy outside, which tells those inside when it is aborted. */
  readonly outer: AttemptScope | undefined;
  readonly #given: AbortSignal | undefined;
  #leaving: AbortSignal | undefined;
  #isJoined = false;

  constructor(call: PolicyCall | undefined) {
    if (call instanceof AttemptScope) {
      // A scope that nothing runs in tells nobody anything.
      const { isBare, asker } = call;
      this.context = isBare ? asker.context : call;
      this.outer = isBare ? asker.outer : call;
      this.#given = isBare ? asker.#given : undefined;
    } else {
      const context = currentContext();
      this.context = context;
      this.outer = context instanceof AttemptScope ? context : undefined;
      this.#given = call && signalIn(call);
    }
  }

  get asker(): Asker {
    return this;
  }

  get ledger(): AttemptLedger | undefined {
    return this.context?.ledger;
  }

  get budget(): AttemptBudget | undefined {
    return this.context?.budget;
  }

  /** The signal that nobody outside listens to. */
  get leaving(): AbortSignal | undefined {
    if (!this.#isJoined) {
      this.#isJoined = true;
      this.#leaving = this.outer ? this.#given : joinSignals(this.#given, this.context?.signal);
    }
    return this.#leaving;
  }

  /** Of all who may leave, however far outside. */
  get anybodyLeaving(): AbortSignal | undefined {
    return joinSignals(this.leaving, this.outer?.asker.anybodyLeaving);
  }

  /** Whether there is somebody who may leave, or a deadline. */
  get isBound(): boolean {
    return this.outer !== undefined || this.leaving !== undefined || this.context?.deadline !== undefined;
  }

  get hasLeft(): boolean {
    return this.leaving?.aborted === true || this.outer?.reason !== undefined;
  }

  /** To be asked only of one that has left. */
  get reason(): Error {
    const { leaving } = this;
    if (leaving?.aborted) return abortReason(leaving);
    return this.outer?.reason ?? new DOMException('Aborted', 'AbortError');
  }

  /** Infinity for none. */
  get deadline(): number {
    return this.context?.deadline ?? Number.POSITIVE_INFINITY;
  }

  /** Until when somebody outside sees to it that the work ends. */
  get watchedUntil(): number {
    return this.outer?.deadline ?? Number.POSITIVE_INFINITY;
  }

  /** The one who has left already aborts it at once. */
  watch(leaver: Leaver): void {
    if (this.leaving?.aborted) {
      leaver.abort(this.reason);
      return;
    }
    if (this.leaving) leavers.join(this.leaving, leaver);
    this.outer?.adopt(leaver);
  }

  unwatch(leaver: Leaver): void {
    if (this.#leaving) leavers.leave(this.#leaving, leaver);
    this.outer?.disown(leaver);
  }
}

/** @throws WarmpathError `WP_BAD_OPTION`, as for a signal that is given in place of `{ signal }` */
function signalIn(call: PolicyCall): AbortSignal | undefined {
  const { signal } = call;
  const isNone = typeof call !== 'object' || call instanceof AbortSignal;
  if (isNone) throw badOption('a policy', 'call', 'an object such as { signal }', call);
  if (signal !== undefined && !ambientRules.signal.allows(signal)) {
    throw badOption('a policy', 'signal', ambientRules.signal.text, signal);
  }
  return signal;
}

/** How long an attempt has, and what it is called where that is over. */
interface Limit {
  readonly clock: Clock;
  readonly what: string;
}

/**
 * One attempt: what its work is given and the context that it runs in, as one object, since making that is most of what a policy
 * costs. Its signal is made when somebody looks at it. An attempt inside another is aborted with it, also where the one outside
 * has ended before, as with work that nobody waited for.
 */
export class AttemptScope implements CallContext, AttemptCall, Leaver {
  readonly attempt: number;
  readonly running: RunningAttempt | undefined;
  readonly deadline: number | undefined;
  /** Nothing runs in it: it stands for whoever has asked. */
  readonly isBare: boolean;
  readonly #source: Source;
  #inner: Set<Leaver> | undefined;
  #controller: AbortController | undefined;
  #signal: AbortSignal | undefined;
  #reason: Error | undefined;
  #limit: Limit | undefined;
  #alarm: Alarm | undefined;
  #reject: ((reason: Error) => void) | undefined;
  #isListening = false;
  #isOver = false;

  /** @param endsAt on the clock's monotonic scale; Infinity for never */
  constructor(source: Source, attempt: number, running: RunningAttempt | undefined, endsAt: number, isBare = false) {
    this.#source = source;
    this.attempt = attempt;
    this.running = running;
    this.deadline = endsAt === Number.POSITIVE_INFINITY ? undefined : endsAt;
    this.isBare = isBare;
  }

  get asker(): Asker {
    return this.#source.asker;
  }

  get ledger(): AttemptLedger | undefined {
    return this.#source.ledger;
  }

  get budget(): AttemptBudget | undefined {
    return this.#source.budget;
  }

  get wholeDeadline(): number {
    return wholeDeadlineOf(this.asker.context);
  }

  get tenant(): string | undefined {
    return this.asker.context?.tenant;
  }

  get attributes(): CallContext['attributes'] {
    return this.asker.context?.attributes ?? noAttributes;
  }

  get callerRetries(): number | undefined {
    return this.asker.context?.callerRetries;
  }

  get signal(): AbortSignal {
    if (!this.#signal) {
      this.#controller = new AbortController();
      if (this.#reason) this.#controller.abort(this.#reason);
      const { asker, isBare } = this;
      const outside = isBare ? joinSignals(asker.leaving, asker.outer?.signal) : asker.anybodyLeaving;
      this.#signal = joinSignals(this.#controller.signal, outside) as AbortSignal;
    }
    return this.#signal;
  }

  /** Why it was aborted, where it was. */
  get reason(): Error | undefined {
    if (this.isBare && this.asker.hasLeft) return this.asker.reason;
    return this.#reason;
  }

  adopt(leaver: Leaver): void {
    if (this.#limit) this.#listen(this.#limit);
    if (this.#reason) {
      leaver.abort(this.#reason);
      return;
    }
    this.#inner ??= new Set();
    this.#inner.add(leaver);
  }

  disown(leaver: Leaver): void {
    this.#inner?.delete(leaver);
    if (this.#isOver) this.#listenNoLonger();
  }

  /** Nothing after the first time. Once the work has ended only what is still inside is told. */
  abort(reason: Error): void {
    if (this.#reason) return;
    const isHeard = !this.#isOver;
    const inner = this.#inner;
    const reject = this.#reject;
    this.#reason = reason;
    this.#inner = undefined;
    this.#end();
    reject?.(reason);
    for (const leaver of inner ?? []) leaver.abort(reason);
    if (isHeard) this.#controller?.abort(reason);
  }

  /** The outcome of the work in this scope; of one that is aborted, the reason, at once, whatever the work does then. */
  run<T>(work: Work<T>, limit: Limit): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#limit = limit;
      this.#reject = reject;
      this.#listen(limit);
      if (this.#isOver) return;
      const ended = (value: T): void => {
        if (this.#isOver) leaveUnread(value);
        this.#end();
        resolve(value);
      };
      const failed = (error: unknown): void => {
        this.#end();
        reject(error);
      };
      try {
        const outcome = runWithin<AttemptScope, T | PromiseLike<T>>(this, work);
        if (isThenable(outcome)) outcome.then(ended, failed);
        else ended(outcome);
      } catch (error) {
        failed(error);
      }
    });
  }

  #end(): void {
    this.#isOver = true;
    this.#reject = undefined;
    this.#listenNoLonger();
  }

  /** For its end in time, and for whoever is outside. */
  #listen(limit: Limit): void {
    if (this.#isListening || this.#reason) return;
    this.#isListening = true;
    this.#alarm = this.#alarmOf(limit);
    this.asker.watch(this);
  }

  /** Unless there is somebody inside who is to be told. */
  #listenNoLonger(): void {
    if (!this.#isListening || this.#inner?.size) return;
    this.#isListening = false;
    if (this.#alarm && this.#limit) alarmsOf(this.#limit.clock).remove(this.#alarm);
    this.#alarm = undefined;
    this.asker.unwatch(this);
  }

  /** Where nobody outside sees to it that the work ends in time. */
  #alarmOf({ clock, what }: Limit): Alarm | undefined {
    const { deadline } = this;
    if (deadline === undefined || deadline >= this.asker.watchedUntil) return undefined;
    const limitMs = deadline - clock.now();
    const alarm = { endsAt: deadline, places: [], ring: () => this.abort(deadlineError(what, limitMs)) };
    alarmsOf(clock).add(alarm);
    return alarm;
  }
}

function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
