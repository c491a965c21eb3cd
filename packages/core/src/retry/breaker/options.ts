import {
  ambientRules,
  badOption,
  checkOptions,
  durationMs,
  parseDuration,
  type Random,
  type Rule,
  type Rules,
  rule,
  safeListener,
  systemRandom,
} from '../../kernel/index.js';
import type { BreakerOptions } from './contract.js';
import { CountWindow } from './count-window.js';
import type { BreakerEvent } from './events.js';
import { TimeWindow } from './time-window.js';
import type { OutcomeWindow } from './window.js';

/** A share above 0: with 0 the first call of all would open it. */
const share: Rule = {
  text: 'a share above 0 and up to 1',
  allows: (value) => typeof value === 'number' && value > 0 && value <= 1,
};

const mostCalls = 100_000;

const windowRule: Rule = {
  text: `a duration above 0 such as '30s', or { calls } with a whole number from 1 to ${mostCalls}`,
  allows: (value) =>
    (parseDuration(value) ?? 0) > 0 ||
    (rule.object.allows(value) &&
      Object.keys(value as object).join() === 'calls' &&
      rule.integer(1, mostCalls).allows((value as { calls: unknown }).calls)),
};

export const breakerRules: Rules<BreakerOptions> = {
  name: rule.text,
  consecutive: rule.integer(1),
  failureRate: share,
  window: windowRule,
  minCalls: rule.integer(1),
  slowCall: rule.positiveDuration,
  slowRate: share,
  pause: rule.positiveDuration,
  maxPause: rule.positiveDuration,
  probes: rule.integer(1, 1_000),
  isFailure: rule.function,
  clock: ambientRules.clock,
  random: ambientRules.random,
  onEvent: ambientRules.onEvent,
};

/** What a breaker goes by, resolved. */
export interface BreakerTerms {
  readonly name: string;
  readonly consecutive: number;
  readonly failureRate: number;
  readonly minCalls: number;
  /** Infinity: none is slow. */
  readonly slowCallMs: number;
  readonly slowRate: number;
  readonly pauseMs: number;
  readonly maxPauseMs: number;
  readonly probes: number;
  readonly window: OutcomeWindow;
  /** The length of a window in time; undefined for one of calls. */
  readonly windowMs: number | undefined;
  readonly random: Random;
  readonly report: ((event: BreakerEvent) => void) | undefined;
}

/** @throws WarmpathError `WP_BAD_OPTION` */
export function termsOf(options: BreakerOptions): BreakerTerms {
  const where = 'breaker()';
  checkOptions(where, options, breakerRules);
  const { name = 'breaker', consecutive = 5, failureRate = 0.5, window = '30s', slowCall, slowRate = 0.5 } = options;
  const { pause = '10s', probes = 3, random = systemRandom } = options;
  const mostInWindow = typeof window === 'object' ? window.calls : Number.POSITIVE_INFINITY;
  const { minCalls = Math.min(10, mostInWindow), maxPause = Math.max(300_000, durationMs(pause)) } = options;
  if (minCalls > mostInWindow)
    throw badOption(where, 'minCalls', `no more than the window holds (${mostInWindow})`, minCalls);
  if (durationMs(pause) > durationMs(maxPause))
    throw badOption(where, 'pause', `no longer than 'maxPause' (${maxPause})`, pause);
  if (options.slowRate !== undefined && slowCall === undefined)
    throw badOption(where, 'slowRate', "left out without 'slowCall'", slowRate);
  const windowMs = typeof window === 'object' ? undefined : durationMs(window);
  return {
    name,
    consecutive,
    failureRate,
    minCalls,
    slowCallMs: slowCall === undefined ? Number.POSITIVE_INFINITY : durationMs(slowCall),
    slowRate,
    pauseMs: durationMs(pause),
    maxPauseMs: durationMs(maxPause),
    probes,
    window: windowMs === undefined ? new CountWindow(mostInWindow) : new TimeWindow(windowMs),
    windowMs,
    random,
    report: safeListener(options.onEvent),
  };
}
