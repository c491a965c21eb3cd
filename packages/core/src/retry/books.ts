import {
  type AttemptBudget,
  type AttemptKind,
  type AttemptLedger,
  type AttemptOutcome,
  type Clock,
  createLedger,
  type RunningAttempt,
} from '../kernel/index.js';
import type { AttemptEvent, StopReason } from './events.js';
import { type Asker, AttemptScope } from './scope.js';

/** The most attempts of one call, where nobody has said: a handful of backends, a handful of tries each. */
const usualLimit = 16;

export interface BooksOptions {
  readonly clock: Clock;
  readonly budget: AttemptBudget;
  readonly report: ((event: AttemptEvent) => void) | undefined;
}

/** How an attempt ended, and what comes then. */
export interface Ending {
  readonly outcome: AttemptOutcome;
  readonly error?: unknown;
  readonly delayMs?: number;
  readonly stop?: StopReason;
}

/** An attempt that runs. */
export interface OpenAttempt {
  readonly running: RunningAttempt;
  readonly number: number;
  readonly beganAt: number;
}

/**
 * The attempts of one call of one policy, as they are counted: in the ledger of the logical call, which all layers share, in the budget, and
 * as events. An attempt that a layer inside makes its own (`claimed`) is counted there.
 */
export class Books {
  readonly ledger: AttemptLedger;
  readonly budget: AttemptBudget;
  readonly #asker: Asker;
  readonly #clock: Clock;
  readonly #report: BooksOptions['report'];

  constructor(asker: Asker, { clock, budget, report }: BooksOptions, attempts: number = usualLimit) {
    this.#asker = asker;
    this.#clock = clock;
    this.#report = report;
    this.ledger = asker.context?.ledger ?? createLedger(Math.max(attempts, usualLimit));
    this.budget = budget;
  }

  /** The first attempt of the policy: the one that a layer outside is making, where there is such a layer. */
  first(isRetried: boolean): OpenAttempt {
    const outer = this.#asker.context?.running;
    if (!outer || outer.claimed) {
      this.ledger.begin();
      return this.#open('first', 0, isRetried);
    }
    outer.claimed = true;
    return this.#open(outer.kind, outer.waitedMs, isRetried || outer.isRetried);
  }

  /** Whether there may be another one. */
  mayGoOn(kind: Exclude<AttemptKind, 'first'>, isFree: boolean): boolean {
    return this.ledger.used < this.ledger.limit && (isFree || this.budget.withdraw(kind));
  }

  /** To be called when `mayGoOn` has said so. */
  extra(kind: Exclude<AttemptKind, 'first'>, waitedMs: number, isRetried: boolean): OpenAttempt {
    this.ledger.begin();
    return this.#open(kind, waitedMs, isRetried || this.#asker.context?.running?.isRetried === true);
  }

  scope({ running, number }: OpenAttempt, endsAt: number): AttemptScope {
    return new AttemptScope(this.#asker, { number, running, ledger: this.ledger, budget: this.budget, endsAt });
  }

  close({ running, number, beganAt }: OpenAttempt, name: string, ending: Ending): void {
    if (running.claimed) return;
    const { kind, waitedMs } = running;
    const { outcome } = ending;
    if (kind === 'first' && outcome !== 'refused' && !this.#asker.context?.callerRetries) this.budget.deposit();
    const ms = this.#clock.now() - beganAt;
    this.ledger.record({ kind, target: name, ms, outcome });
    this.#report?.({ type: 'attempt.ended', name, number, kind, waitedMs, ms, ...ending });
  }

  #open(kind: AttemptKind, waitedMs: number, isRetried: boolean): OpenAttempt {
    const running = { kind, waitedMs, isRetried, claimed: false };
    return { running, number: this.ledger.used, beganAt: this.#clock.now() };
  }
}
