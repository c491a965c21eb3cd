import {
  type AttemptBudget,
  type AttemptKind,
  type AttemptLedger,
  type AttemptOutcome,
  type Clock,
  coarseNow,
  createLedger,
  type RunningAttempt,
} from '../kernel/index.js';
import { sharedBudget } from './budget.js';
import type { AttemptEvent, StopReason } from './events.js';
import { type Asker, AttemptScope, type Source } from './scope.js';

/** The most attempts of one call, where nobody has said: a handful of backends, a handful of tries each. */
const usualLimit = 16;

/** What all calls of a policy have in common. */
export interface Bookkeeping {
  readonly clock: Clock;
  /** Of whoever is not given one. */
  readonly usualBudget: AttemptBudget;
  readonly budget: AttemptBudget | undefined;
  readonly report: ((event: AttemptEvent) => void) | undefined;
  /** A few milliseconds behind where nobody listens: reading the clock is much of what a call costs. */
  readonly now: () => number;
}

export function bookkeeping(
  clock: Clock,
  budget: AttemptBudget | undefined,
  report: Bookkeeping['report'],
): Bookkeeping {
  const now = report ? () => clock.now() : coarseNow(clock);
  return { clock, budget, usualBudget: sharedBudget(clock), report, now };
}

/** How an attempt ended, and what comes then. */
export interface Ending {
  readonly outcome: AttemptOutcome;
  readonly error?: unknown;
  readonly delayMs?: number;
  readonly stop?: StopReason;
}

/** An attempt that runs. */
export interface OpenAttempt extends RunningAttempt {
  readonly number: number;
  readonly beganAt: number;
}

const ok: Ending = { outcome: 'ok' };

/**
 * The attempts of one call of one policy, as they are counted: in the ledger of the logical call, which all layers share, in the budget, and
 * as events. An attempt that a layer inside makes its own (`claimed`) is counted there.
 */
export class Books implements Source {
  readonly asker: Asker;
  readonly budget: AttemptBudget;
  readonly #keeping: Bookkeeping;
  readonly #limit: number;
  #ledger: AttemptLedger | undefined;
  #hasBegun = false;
  /** The number of the attempt that was taken last. */
  #taken = 0;

  constructor(asker: Asker, keeping: Bookkeeping, attempts: number = usualLimit) {
    this.asker = asker;
    this.budget = keeping.budget ?? asker.context?.budget ?? keeping.usualBudget;
    this.#keeping = keeping;
    this.#limit = attempts;
    this.#ledger = asker.context?.ledger;
  }

  /** That of the call, or else one that is made when somebody looks at it: most calls are done with their first attempt. */
  get ledger(): AttemptLedger {
    if (!this.#ledger) {
      this.#ledger = createLedger(Math.max(this.#limit, usualLimit));
      if (this.#hasBegun) this.#ledger.begin();
    }
    return this.#ledger;
  }

  /** The first attempt of the policy: the one that a layer outside is making, where there is such a layer. */
  first(isRetried: boolean, beganAt: number): OpenAttempt {
    const outer = this.asker.context?.running;
    if (!outer || outer.claimed) {
      this.#hasBegun = true;
      this.#ledger?.begin();
      return { kind: 'first', waitedMs: 0, isRetried, claimed: false, number: this.#ledger?.used ?? 1, beganAt };
    }
    outer.claimed = true;
    const number = this.asker.outer?.attempt ?? this.ledger.used;
    const { kind, waitedMs } = outer;
    return { kind, waitedMs, isRetried: isRetried || outer.isRetried, claimed: false, number, beganAt };
  }

  /** Whether there may be another one: it is taken from the ledger and the budget now, however long is waited before it. */
  takes(kind: Exclude<AttemptKind, 'first'>, isFree: boolean): boolean {
    const { ledger } = this;
    if (ledger.used >= ledger.limit || !(isFree || this.budget.withdraw(kind))) return false;
    ledger.begin();
    this.#taken = ledger.used;
    return true;
  }

  /** The attempt that was taken. */
  extra(kind: Exclude<AttemptKind, 'first'>, waitedMs: number, isRetried: boolean): OpenAttempt {
    const isTriedOutside = this.asker.context?.running?.isRetried === true;
    const beganAt = this.#keeping.clock.now();
    return { kind, waitedMs, isRetried: isRetried || isTriedOutside, claimed: false, number: this.#taken, beganAt };
  }

  scope(attempt: OpenAttempt, endsAt: number): AttemptScope {
    return new AttemptScope(this, attempt.number, attempt, endsAt);
  }

  close(attempt: OpenAttempt, name: string, ending: Ending = ok): void {
    if (attempt.claimed) return;
    const { kind, waitedMs, number } = attempt;
    const { outcome } = ending;
    if (kind === 'first' && outcome !== 'refused' && !this.asker.context?.callerRetries) this.budget.deposit();
    const { report, now } = this.#keeping;
    if (!report && !this.#ledger) return;
    const ms = Math.max(0, now() - attempt.beganAt);
    this.#ledger?.record({ kind, target: name, ms, outcome });
    report?.({ type: 'attempt.ended', name, number, kind, waitedMs, ms, ...ending });
  }
}
