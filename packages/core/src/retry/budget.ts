import {
  type AttemptBudget,
  type AttemptKind,
  ambientRules,
  badOption,
  type Clock,
  checkOptions,
  coarseNow,
  type Duration,
  durationMs,
  type Rule,
  type Rules,
  rule,
  systemClock,
} from '../kernel/index.js';

type ExtraKind = Exclude<AttemptKind, 'first'>;

export interface AttemptBudgetOptions {
  /** How many extra attempts each first one earns. Default 0.2. */
  readonly ratio?: number;
  /** How many extra attempts a second there may be where little is asked. Default 1. */
  readonly perSecond?: number;
  /** How long what was earned and what was taken counts. Default `'10s'`. */
  readonly window?: Duration;
  /**
   * What is refused where nothing is left. Default: retries and hedges. A fallback and the split of a batch take what there is and
   * go without where there is nothing: the one asks somebody else, the other sends each item at most a few times more.
   */
  readonly refuses?: readonly ExtraKind[];
  readonly clock?: Clock;
}

export interface BudgetStats {
  /** Of the window. */
  readonly firsts: number;
  readonly extras: number;
  /** Extra attempts that may be made now; what falls below 1 is refused. */
  readonly balance: number;
  /** So far. */
  readonly refused: number;
}

/** A budget that can be asked how it stands. */
export interface CountedBudget extends AttemptBudget {
  stats(): BudgetStats;
}

const extraKinds: readonly ExtraKind[] = ['retry', 'hedge', 'fallback', 'split'];

const rules: Rules<AttemptBudgetOptions> = {
  ratio: rule.number(0, 10),
  perSecond: rule.number(0),
  window: rule.positiveDuration,
  refuses: rule.arrayOf(rule.oneOf(...extraKinds)),
  clock: ambientRules.clock,
};

export const budgetRule: Rule = rule.withMethods('a budget (see createAttemptBudget)', 'deposit', 'withdraw');

/** The window moves on by this share of itself. */
const slices = 10;

/**
 * What the extra attempts of many calls are drawn from: over a window, `ratio` for each first attempt and `perSecond` besides.
 * So where everything fails, a backend is asked at most 1.2 times as often as usual, however many layers try again. After the
 * retry budgets of Finagle (20 %, 10 a second, over 10 s), with a floor for traffic that is slower. Memory is fixed, operations
 * are O(1) and set no timer.
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function createAttemptBudget(options: AttemptBudgetOptions = {}): CountedBudget {
  checkOptions('createAttemptBudget()', options, rules);
  const { ratio = 0.2, perSecond = 1, window = '10s', clock = systemClock } = options;
  const { refuses = ['retry', 'hedge'] } = options;
  const windowMs = durationMs(window);
  const floor = (perSecond * windowMs) / 1_000;
  if (ratio === 0 && floor < 1) {
    throw badOption('createAttemptBudget()', 'perSecond', "at least one in a 'window' where 'ratio' is 0", perSecond);
  }
  const sliceMs = windowMs / slices;
  const firsts = new Array<number>(slices).fill(0);
  const extras = new Array<number>(slices).fill(0);
  const now = coarseNow(clock);
  let current = Number.NEGATIVE_INFINITY;
  let firstsNow = 0;
  let extrasNow = 0;
  let refused = 0;

  /** Forgets what has left the window. @returns the place of this slice */
  const turn = (): number => {
    const slice = Math.floor(now() / sliceMs);
    const old = Math.max(current + 1, slice - slices + 1);
    for (let each = old; each <= slice; each++) {
      const place = placeOf(each);
      firstsNow -= firsts[place] ?? 0;
      extrasNow -= extras[place] ?? 0;
      firsts[place] = 0;
      extras[place] = 0;
    }
    current = Math.max(current, slice);
    return placeOf(current);
  };
  const balance = (): number => ratio * firstsNow + floor - extrasNow;

  return {
    deposit() {
      const place = turn();
      firsts[place] = (firsts[place] ?? 0) + 1;
      firstsNow++;
    },
    withdraw(kind) {
      const place = turn();
      if (balance() < 1) {
        const isRefused = refuses.includes(kind);
        if (isRefused) refused++;
        return !isRefused;
      }
      extras[place] = (extras[place] ?? 0) + 1;
      extrasNow++;
      return true;
    },
    stats() {
      turn();
      return { firsts: firstsNow, extras: extrasNow, balance: balance(), refused };
    },
  };
}

/** A clock may begin anywhere. */
function placeOf(slice: number): number {
  return ((slice % slices) + slices) % slices;
}

const shared = new WeakMap<Clock, CountedBudget>();

/** The one budget of all policies on one clock, where they are given none: of the system's clock, that of the process. */
export function sharedBudget(clock: Clock): CountedBudget {
  let budget = shared.get(clock);
  if (!budget) {
    budget = createAttemptBudget({ clock });
    shared.set(clock, budget);
  }
  return budget;
}
