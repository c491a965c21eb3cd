import {
  ambientRules,
  type Clock,
  checkOptions,
  type Duration,
  deadlineError,
  durationMs,
  type Rules,
  rule,
  systemClock,
} from '../kernel/index.js';
import { scopeWithin } from './attempt.js';
import { notWork, type Policy, type PolicyCall, type Work } from './policy.js';
import { Asker } from './scope.js';

export interface TimeoutOptions {
  readonly after: Duration;
  /** Names the work in the error. Default `'timeout'`. */
  readonly name?: string;
  readonly clock?: Clock;
}

const timeoutRules: Rules<TimeoutOptions> = {
  after: rule.required(rule.positiveDuration),
  name: rule.text,
  clock: ambientRules.clock,
};

/**
 * Ends work that takes longer than it may, or longer than the call's deadline allows: its signal is aborted and the caller gets
 * `WP_DEADLINE` at once, whether or not the work listens. What the work does after that is nobody's business, so it should
 * listen. All timeouts on one clock share one timer.
 * @param limit how long, or that with a name and a clock
 * @throws WarmpathError `WP_BAD_OPTION`; a call rejects with `WP_DEADLINE`, or with the caller's reason
 */
export function timeout(limit: Duration | TimeoutOptions): Policy {
  const options = typeof limit === 'object' && limit !== null ? limit : { after: limit };
  checkOptions('timeout()', options, timeoutRules);
  const { after, name = 'timeout', clock = systemClock } = options;
  const afterMs = durationMs(after);
  const terms = { clock, what: `'${name}'` };
  return async function timed<T>(work: Work<T>, call?: PolicyCall): Promise<T> {
    if (typeof work !== 'function') throw notWork(name, work);
    const asker = new Asker(call);
    if (asker.hasLeft) throw asker.reason;
    const now = clock.now();
    const endsAt = Math.min(now + afterMs, asker.deadline);
    if (endsAt <= now) throw deadlineError(terms.what, 0);
    return scopeWithin(asker, endsAt).run(work, terms);
  };
}
