import {
  AbortWatch,
  type AttemptBudget,
  type AttemptLedger,
  abortReason,
  type CallContext,
  type Clock,
  currentContext,
  Deadlines,
  type Due,
  deadlineError,
  joinSignals,
  type RunningAttempt,
  runWithin,
} from '../kernel/index.js';
import type { AttemptCall, PolicyCall, Work } from './policy.js';

const noAttributes: CallContext['attributes'] = Object.freeze({});

/** What has a limit in time. */
export interface Alarm extends Due {
  ring(): void;
}

const wheels = new WeakMap<Clock, Deadlines<Alarm>>();

/** The instants at which attempts are over: of all policies on one clock, on one timer. */
export function alarmsOf(clock: Clock): Deadlines<Alarm> {
  let alarms = wheels.get(clock);
  if (!alarms) {
    alarms = new Deadlines<Alarm>(clock, (alarm) => alarm.ring(), 0);
    wheels.set(clock, alarms);
  }
  return alarms;
}

/** What ends with whoever waits for it. */
interface Leaver {
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
      this.#given = call?.signal;
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

  /** Whether there is nobody who could leave, and no deadline that nobody outside sees to. */
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

  watch(leaver: Leaver): void {
    if (this.leaving) leavers.join(this.leaving, leaver);
    this.outer?.adopt(leaver);
  }

  unwatch(leaver: Leaver): void {
    if (this.#leaving) leavers.leave(this.#leaving, leaver);
    this.outer?.disown(leaver);
  }
}

/**
 * One attempt: what its work is given and the context that it runs in, as one object, since making that is most of what a policy
 * costs. Its signal is made when somebody looks at it. An attempt inside another is aborted with it.
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
  #settle: ((reason: Error) => void) | undefined;
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
      this.#signal = joinSignals(this.#controller.signal, this.asker.anybodyLeaving) as AbortSignal;
    }
    return this.#signal;
  }

  /** Why it was aborted, where it was. */
  get reason(): Error | undefined {
    return this.#reason;
  }

  adopt(leaver: Leaver): void {
    if (this.#reason) {
      leaver.abort(this.#reason);
      return;
    }
    this.#inner ??= new Set();
    this.#inner.add(leaver);
  }

  disown(leaver: Leaver): void {
    this.#inner?.delete(leaver);
  }

  /** Nothing after the first time, or after the work has ended. */
  abort(reason: Error): void {
    if (this.#reason || this.#isOver) return;
    this.#reason = reason;
    this.#settle?.(reason);
    const inner = this.#inner;
    this.#inner = undefined;
    for (const leaver of inner ?? []) leaver.abort(reason);
    this.#controller?.abort(reason);
  }

  /**
   * The outcome of the work in this scope; of one that is aborted, the reason, at once, whatever the work does then.
   * @param limit how long it has: what it is called where that is over
   */
  run<T>(work: Work<T>, limit: { readonly clock: Clock; readonly what: string }): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const alarm = this.#alarmOf(limit);
      const release = (): void => {
        this.#isOver = true;
        this.#settle = undefined;
        if (alarm) alarmsOf(limit.clock).remove(alarm);
        this.asker.unwatch(this);
      };
      this.#settle = (reason) => {
        release();
        reject(reason);
      };
      this.asker.watch(this);
      if (this.#isOver) return;
      try {
        const outcome = runWithin<AttemptScope, T | PromiseLike<T>>(this, work);
        if (!isThenable(outcome)) {
          release();
          resolve(outcome);
          return;
        }
        outcome.then(
          (value) => {
            release();
            resolve(value);
          },
          (error) => {
            release();
            reject(error);
          },
        );
      } catch (error) {
        release();
        reject(error);
      }
    });
  }

  /** Where nobody outside sees to it that the work ends in time. */
  #alarmOf({ clock, what }: { readonly clock: Clock; readonly what: string }): Alarm | undefined {
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

/** The attempt of whoever is outside, with an end of its own. */
export function scopeWithin(asker: Asker, endsAt: number): AttemptScope {
  return new AttemptScope(asker, asker.outer?.attempt ?? 1, asker.context?.running, endsAt);
}

/**
 * What the work of a policy that adds nothing to the attempt is given: the attempt of the policy outside, or one of its own.
 * @throws the reason of whoever has left already
 */
export function attemptOf(call: PolicyCall | undefined): AttemptCall {
  if (call instanceof AttemptScope) {
    if (call.reason) throw call.reason;
    return call;
  }
  const asker = new Asker(call);
  if (asker.hasLeft) throw asker.reason;
  return new AttemptScope(asker, asker.outer?.attempt ?? 1, asker.context?.running, asker.deadline, true);
}

/** Waits, unless whoever waits leaves first: then it rejects with the reason. */
export function pause(asker: Asker, clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const alarms = alarmsOf(clock);
    const alarm: Alarm = {
      endsAt: clock.now() + delayMs,
      places: [],
      ring() {
        asker.unwatch(leaver);
        resolve();
      },
    };
    const leaver: Leaver = {
      abort(reason) {
        alarms.remove(alarm);
        asker.unwatch(leaver);
        reject(reason);
      },
    };
    alarms.add(alarm);
    asker.watch(leaver);
  });
}
