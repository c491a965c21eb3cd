import { checkOptions, currentContext, type Rules, rule } from '@warmpath/core/kernel';
import type { Limiter, LimiterOptions } from '@warmpath/core/limiter';
import { RateLimitedException } from '../rate-limited-exception.js';
import { announceRefusal } from '../request-context.js';
import { applyPolicy } from './apply-policy.js';
import type { Policy } from './decorated-method.js';
import type { ArgumentsFunction, MethodPolicyDecorator } from './decorator-types.js';
import { PartsByName } from './parts-by-name.js';

export interface RateLimitedOptions<Key extends ArgumentsFunction = ArgumentsFunction>
  extends Omit<LimiterOptions, 'name' | 'clock' | 'onEvent'> {
  /** Whose quota a call draws from: `key: (userId: string) => userId`. Default: the tenant of the request, else one for all. */
  readonly key?: Key;
  /** Names the limiter in headers, events and metrics. Default `Class.method`. */
  readonly name?: string;
  /** Reject with `WP_MODULE_MISSING` where there is no WarmpathModule, instead of running the bare method. */
  readonly strict?: boolean;
}

const rules: Rules<RateLimitedOptions> = {
  key: rule.function,
  name: rule.text,
  strict: rule.boolean,
  limit: rule.required(rule.positive),
  window: rule.required(rule.positiveDuration),
  burst: rule.positive,
  maxKeys: rule.integer(1),
};

/**
 * Lets `limit` calls through in each `window`; past it a call rejects with `RateLimitedException` (429) and the method
 * does not run. When that exception answers an HTTP request, the answer carries `Retry-After` and the `RateLimit` fields.
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function RateLimited<Key extends ArgumentsFunction = () => unknown>(
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
        const payer = keyOf ? String(Reflect.apply(keyOf, self, args)) : currentContext()?.tenant;
        const decision = limiter.tryTake(payer);
        if (decision.ok) return next(self, args);
        announceRefusal(limiter, decision);
        throw new RateLimitedException(limiter, decision);
      };
    },
  };
  return applyPolicy(policy) as MethodPolicyDecorator<Key>;
}
