import {
  ambientRules,
  badOption,
  type Clock,
  checkOptions,
  durationMs,
  type Rules,
  rule,
  safeListener,
  systemClock,
} from '../../kernel/index.js';
import type { AdaptiveConcurrency, BulkheadOptions } from './contract.js';
import type { BulkheadEvent } from './events.js';

const bulkheadRules: Rules<BulkheadOptions> = {
  name: rule.text,
  maxConcurrent: rule.either(rule.integer(1), rule.object),
  maxWaiting: rule.integer(0),
  timeout: rule.positiveDuration,
  clock: ambientRules.clock,
  onEvent: ambientRules.onEvent,
};

const adaptiveRules: Rules<AdaptiveConcurrency> = {
  min: rule.integer(1),
  max: rule.integer(1),
  initial: rule.integer(1),
  measure: rule.oneOf('duration', 'chunk'),
};

/** What a bulkhead goes by, resolved. */
export interface BulkheadTerms {
  readonly name: string;
  readonly maxConcurrent: number | Required<AdaptiveConcurrency>;
  readonly maxWaiting: number;
  /** Infinity: as long as the deadline allows. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly report: ((event: BulkheadEvent) => void) | undefined;
}

/** @throws WarmpathError `WP_BAD_OPTION` */
export function termsOf(options: BulkheadOptions): BulkheadTerms {
  checkOptions('bulkhead()', options, bulkheadRules);
  const { name = 'bulkhead', maxConcurrent = 10, maxWaiting = 0, timeout, clock = systemClock, onEvent } = options;
  return {
    name,
    maxConcurrent: typeof maxConcurrent === 'number' ? maxConcurrent : adaptive(maxConcurrent),
    maxWaiting,
    timeoutMs: timeout === undefined ? Number.POSITIVE_INFINITY : durationMs(timeout),
    clock,
    report: safeListener(onEvent),
  };
}

function adaptive(options: AdaptiveConcurrency): Required<AdaptiveConcurrency> {
  const where = "bulkhead() 'maxConcurrent'";
  checkOptions(where, options, adaptiveRules);
  const { min = 1, measure = 'duration' } = options;
  const { max = Math.max(200, min) } = options;
  if (min > max) throw badOption(where, 'min', `no more than 'max' (${max})`, min);
  const { initial = Math.min(max, Math.max(min, 20)) } = options;
  if (initial < min || initial > max) throw badOption(where, 'initial', `from ${min} to ${max}`, initial);
  return { min, max, initial, measure };
}
