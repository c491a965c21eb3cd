import {
  ambientRules,
  badOption,
  type Clock,
  checkOptions,
  type Duration,
  durationMs,
  type Random,
  type Rules,
  rule,
} from '../kernel/index.js';
import type { CalendarLimit, ConcurrencyLimit, Limit, WindowLimit } from './contract.js';
import type { Dimension } from './dimensions.js';
import type { LimiterEvent } from './events.js';
import type { AdaptiveRateOptions } from './feedback/adaptive-rate.js';
import type { LimiterStore } from './store.js';

export interface LimiterOptions {
  readonly name: string;
  /** With `window` and `burst`, for a single limit: how many requests one key may make in any window of that length. */
  readonly limit?: number;
  readonly window?: Duration;
  readonly burst?: number;
  /** All of them hold for every key: a request passes where all have room, and is charged to all or to none. */
  readonly limits?: readonly Limit[];
  /** The most keys remembered; past it one that has nothing charged, or was unused for longest, starts anew. Default 100,000. */
  readonly maxKeys?: number;
  /** The longest that `take()` and `reserve()` wait, if their caller says nothing. Default 1 min; the deadline counts as well. */
  readonly timeout?: Duration;
  /** The most callers that wait at a time; past it they are refused. Default 10,000. */
  readonly maxWaiting?: number;
  /** How long until a waiting caller counts as one priority more urgent. Default 10 s. */
  readonly aging?: Duration;
  /** The share of a tenant in what is handed out while tenants wait, relative to the others. Default 1 for each. */
  readonly shareOf?: (tenant: string) => number;
  /** Charges what is refused as well, each look in a queue included, so that who keeps asking waits longer. Default false. */
  readonly penalise?: boolean;
  /** After that a reservation that nobody settles is settled at what was reserved. Default 5 min. */
  readonly leaseTtl?: Duration;
  /** How `observe()` changes the rate. `false`: it only keeps to what a provider says is left. */
  readonly adaptive?: false | AdaptiveRateOptions;
  /** Counts for all processes that name it and a limiter of this name; see `redisLimits()`. Default: each process counts for itself. */
  readonly store?: LimiterStore;
  /** The longest that a decision waits for the store. Default 50 ms. */
  readonly storeTimeout?: Duration;
  /**
   * While the store is away: `local` decides within this process' share of the limits, `allow` lets everything through,
   * `refuse` nothing. Default `local`.
   */
  readonly onStoreError?: 'local' | 'allow' | 'refuse';
  /**
   * The part of each limit, from 0 to 1, that a process takes from the store in advance, so that most decisions need no round
   * trip. A window may then exceed its limit by that part for each process. Default 0: every decision asks the store.
   */
  readonly prefetch?: number;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly onEvent?: (event: LimiterEvent) => void;
}

export const limiterRules: Rules<LimiterOptions> = {
  name: rule.required(rule.text),
  limit: rule.positive,
  window: rule.positiveDuration,
  burst: rule.positive,
  limits: rule.arrayOf(rule.object, 1),
  maxKeys: rule.integer(1),
  timeout: rule.duration,
  maxWaiting: rule.integer(0),
  aging: rule.positiveDuration,
  shareOf: rule.function,
  penalise: rule.boolean,
  leaseTtl: rule.positiveDuration,
  adaptive: rule.either(rule.oneOf(false), rule.object),
  store: rule.withMethods('a store of limits such as redisLimits()', 'take', 'settle', 'extend', 'peers'),
  storeTimeout: rule.positiveDuration,
  onStoreError: rule.oneOf('local', 'allow', 'refuse'),
  prefetch: rule.number(0, 1),
  clock: ambientRules.clock,
  random: ambientRules.random,
  onEvent: ambientRules.onEvent,
};

const windowRules: Rules<WindowLimit> = {
  name: rule.text,
  unit: rule.text,
  limit: rule.required(rule.positive),
  window: rule.required(rule.positiveDuration),
  burst: rule.positive,
};

const calendarRules: Rules<CalendarLimit> = {
  name: rule.text,
  unit: rule.text,
  limit: rule.required(rule.positive),
  per: rule.required(rule.oneOf('hour', 'day', 'week', 'month')),
  timeZone: { text: "the IANA name of a time zone, such as 'America/Los_Angeles'", allows: isTimeZone },
};

const concurrencyRules: Rules<ConcurrencyLimit> = {
  name: rule.text,
  concurrent: rule.required(rule.integer(1)),
};

const adaptiveRules: Rules<AdaptiveRateOptions> = {
  floor: { text: 'a number above 0, to 1', allows: (value) => rule.positive.allows(value) && (value as number) <= 1 },
  recover: rule.positiveDuration,
};

/**
 * All that is wrong with options shows here: `createLimiter()` begins with it.
 * @param where as its caller writes it
 * @returns the limits, resolved, in the order in which they were given
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function checkLimiter(options: LimiterOptions, where: string = 'createLimiter()'): readonly Dimension[] {
  checkOptions(where, options, limiterRules);
  if (options.adaptive) checkOptions(`${where} adaptive`, options.adaptive, adaptiveRules);
  const dimensions = limitsOf(options, where).map((limit) => toDimension(limit, where));
  const twice = dimensions.find(({ name }, index) => dimensions.findIndex((other) => other.name === name) !== index);
  if (twice) throw badOption(where, 'limits', 'limits with different names; give these a name each', twice.name);
  return dimensions;
}

function limitsOf({ limits, limit, window, burst }: LimiterOptions, where: string): readonly Limit[] {
  if (limits !== undefined) {
    const single = Object.entries({ limit, window, burst }).find(([, value]) => value !== undefined);
    if (single) throw badOption(where, single[0], "left out beside 'limits', where each limit has its own", single[1]);
    return limits;
  }
  if (limit === undefined) throw badOption(where, 'limit', "given, or 'limits' instead", limit);
  if (window === undefined) throw badOption(where, 'window', "given, or 'limits' instead", window);
  return [{ limit, window, ...(burst !== undefined && { burst }) }];
}

function toDimension(limit: Limit, where: string): Dimension {
  if ('concurrent' in limit) {
    checkOptions(`${where} limits`, limit, concurrencyRules);
    const { name = 'concurrency', concurrent } = limit;
    return { kind: 'concurrency', name, unit: 'concurrency', limit: concurrent };
  }
  if ('per' in limit) {
    checkOptions(`${where} limits`, limit, calendarRules);
    const { unit = 'requests', per, timeZone = 'UTC' } = limit;
    if (unit === 'requests' && limit.limit < 1)
      throw badOption(`${where} limits`, 'limit', 'a number from 1 up', limit.limit);
    return { kind: 'calendar', name: limit.name ?? `${unit}/${per}`, unit, limit: limit.limit, per, timeZone };
  }
  checkOptions(`${where} limits`, limit, windowRules);
  const { unit = 'requests', burst } = limit;
  // Less than one request in a window is one in a window that is longer.
  const stretch = unit === 'requests' && limit.limit < 1 ? 1 / limit.limit : 1;
  const most = limit.limit * stretch;
  const least = unit === 'requests' ? 1 : 0;
  if (burst !== undefined && !(burst >= least && burst <= most)) {
    throw badOption(where, 'burst', `a number from ${least} to the limit, ${most}`, burst);
  }
  return {
    kind: 'window',
    name: limit.name ?? `${unit}/${textOf(limit.window)}`,
    unit,
    limit: most,
    windowMs: durationMs(limit.window) * stretch,
    // As much as the limit at once is no pace at all.
    burst: burst === undefined || burst >= most ? undefined : burst,
  };
}

function textOf(window: Duration): string {
  return typeof window === 'string' ? window : `${window}ms`;
}

function isTimeZone(value: unknown): boolean {
  if (typeof value !== 'string' || value === '') return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: value });
    return true;
  } catch {
    return false;
  }
}
