import {
  ambientRules,
  badOption,
  type Clock,
  checkOptions,
  type Duration,
  durationMs,
  type Rules,
  rule,
  safeListener,
  systemClock,
} from '../kernel/index.js';
import { type BucketRate, take } from './bucket.js';

export interface LimiterOptions {
  readonly name: string;
  /** Requests (or units of weight) that one key may take in each window. */
  readonly limit: number;
  readonly window: Duration;
  /** Units that may be taken at once after a pause, at least 1. Default: the limit, or 1 if that is less. */
  readonly burst?: number;
  /** The most keys remembered; past it the one unused for longest starts anew. Default 100,000. */
  readonly maxKeys?: number;
  readonly clock?: Clock;
  readonly onEvent?: (event: LimiterEvent) => void;
}

export interface LimiterEvent {
  readonly type: 'limiter.allowed' | 'limiter.refused';
  readonly limiter: string;
  readonly weight: number;
  readonly remaining: number;
  readonly waitMs: number;
}

interface Standing {
  readonly limit: number;
  /** Whole units that could be taken now. */
  readonly remaining: number;
  /** Milliseconds until the bucket is full again. */
  readonly resetMs: number;
  /** Who counted. */
  readonly decidedBy: 'local';
}

/** A refusal is a value: it says why, what binds and when to come back. */
export type Decision =
  | (Standing & { readonly ok: true })
  | (Standing & {
      readonly ok: false;
      /** `impossible`: the weight is above the burst and would never pass. */
      readonly reason: 'quota' | 'impossible';
      readonly dimension: 'requests';
      /** Milliseconds until the same request would pass if nobody else asked; Infinity when impossible. */
      readonly waitMs: number;
    });

export interface Limiter {
  readonly name: string;
  readonly limit: number;
  readonly windowMs: number;
  /**
   * Takes `weight` units for `key`, or refuses and takes nothing. Synchronous; O(1).
   * With the default burst a window admits up to twice the limit after a pause (a full bucket, then its refill).
   */
  tryTake(key?: string, weight?: number): Decision;
}

export const limiterRules: Rules<LimiterOptions> = {
  name: rule.required(rule.text),
  limit: rule.required(rule.positive),
  window: rule.required(rule.positiveDuration),
  burst: rule.number(1),
  maxKeys: rule.integer(1),
  clock: ambientRules.clock,
  onEvent: ambientRules.onEvent,
};

/** A token bucket for each key, in memory. @throws WarmpathError `WP_BAD_OPTION` */
export function createLimiter(options: LimiterOptions): Limiter {
  checkOptions('createLimiter()', options, limiterRules);
  const { name, limit, window, burst = Math.max(1, limit), maxKeys = 100_000, clock = systemClock, onEvent } = options;
  const report = safeListener(onEvent);
  const windowMs = durationMs(window);
  const rate: BucketRate = { unitMs: windowMs / limit, burst };
  // Least recently used first: a Map iterates in order of insertion and every take inserts anew.
  const tats = new Map<string, number>();

  function tryTake(key = '', weight = 1): Decision {
    if (typeof key !== 'string') throw badOption(`${name}.tryTake()`, 'key', 'a string', key);
    if (!(weight >= 0)) throw badOption(`${name}.tryTake()`, 'weight', 'a number from 0 up', weight);
    const now = clock.now();
    const tat = tats.get(key);
    const answer = take(rate, tat ?? now, weight, now);
    if (answer.ok) remember(key, answer.tat);
    else if (tat !== undefined) remember(key, tat); // to be refused is to be in use
    const decision = toDecision(answer, weight);
    report?.({
      type: decision.ok ? 'limiter.allowed' : 'limiter.refused',
      limiter: name,
      weight,
      remaining: decision.remaining,
      waitMs: decision.ok ? 0 : decision.waitMs,
    });
    return decision;
  }

  function remember(key: string, tat: number): void {
    tats.delete(key);
    tats.set(key, tat);
    if (tats.size <= maxKeys) return;
    const [oldest] = tats.keys();
    if (oldest !== undefined) tats.delete(oldest);
  }

  function toDecision(answer: ReturnType<typeof take>, weight: number): Decision {
    const { remaining, resetMs } = answer;
    const standing = { limit, remaining, resetMs, decidedBy: 'local' } as const;
    if (answer.ok) return { ok: true, ...standing };
    const impossible = weight > burst;
    return {
      ok: false,
      reason: impossible ? 'impossible' : 'quota',
      dimension: 'requests',
      waitMs: impossible ? Number.POSITIVE_INFINITY : answer.waitMs,
      ...standing,
    };
  }

  return { name, limit, windowMs, tryTake };
}
