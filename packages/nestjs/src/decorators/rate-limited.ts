import { checkOptions, currentContext, type Rules, rule, stringFrom } from '@warmpath/core/kernel';
import { type Limiter, type LimiterOptions, limiterRules } from '@warmpath/core/limiter';
import { RateLimitedException } from '../rate-limited-exception.js';
import { announceRefusal } from '../request-context.js';
import { applyPolicy } from './apply-policy.js';
import type { Policy } from './decorated-method.js';
import type { MethodPolicyDecorator } from './decorator-types.js';
import { PartsByName } from './parts-by-name.js';

type KeyFunction = (...args: never[]) => string;

export interface RateLimitedOptions<Key extends KeyFunction = KeyFunction>
  extends Omit<LimiterOptions, 'name' | 'clock' | 'onEvent'> {
  /**
   * Whose quota a call draws from: `key: (userId: string) => userId`. Not asynchronous; a call rejects with
   * `WP_BAD_OPTION` when it returns no string. Default: the tenant of the request, else one for all.
   */
  readonly key?: Key;
  /** Names the limiter in events, metrics and headers. Default `Class.method`, in headers `default`. */
  readonly name?: string;
  /** Reject with `WP_MODULE_MISSING` where there is no WarmpathModule, instead of running the bare method. */
  readonly strict?: boolean;
}

const { name: _name, clock: _clock, onEvent: _onEvent, ...policyRules } = limiterRules;
const rules: Rules<RateLimitedOptions> = {
  ...policyRules,
  key: rule.function,
  name: rule.text,
  strict: rule.boolean,
};

/**
 * Lets `limit` calls through in each `window`; past it a call rejects with `RateLimitedException` (429) and the method
 * does not run. When that exception answers an HTTP request, the answer carries `Retry-After` and the `RateLimit` fields.
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function RateLimited<Key extends KeyFunction = () => string>(
  options: RateLimitedOptions<Key>,
): MethodPolicyDecorator<Key> {
  checkOptions<RateLimitedOptions>('@RateLimited()', options as RateLimitedOptions, rules);
  const { key, name, strict = false, ...limits } = options;
  const keyOf = key as ((...args: readonly unknown[]) => unknown) | undefined;
  const limiters = new PartsByName<Limiter>();
  const policy: Policy = {
    kind: 'RateLimited',
    strict,
    layer(runtime, { id }, next) {
      const limiter = limiters.get(runtime, name ?? id, (own) => runtime.limiter(own, limits));
      return async (self, args) => {
        const payer = keyOf
          ? stringFrom(`@RateLimited() on ${id}`, 'key', Reflect.apply(keyOf, self, args))
          : currentContext()?.tenant;
        const decision = limiter.tryTake(payer);
        if (decision.ok) return next(self, args);
        const refusal = new RateLimitedException(limiter, decision, name);
        announceRefusal(refusal.headers);
        throw refusal;
      };
    },
  };
  return applyPolicy(policy) as MethodPolicyDecorator<Key>;
}
