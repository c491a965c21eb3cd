import type { Warmpath } from '@warmpath/core';
import { checkOptions, currentContext, type Duration, type Rules, rule, stringFrom } from '@warmpath/core/kernel';
import {
  type Cost,
  type Decision,
  type Lease,
  type Limiter,
  type LimiterOptions,
  limiterRules,
} from '@warmpath/core/limiter';
import { RateLimitedException } from '../rate-limited-exception.js';
import { announceRefusal } from '../request-context.js';
import { applyPolicy } from './apply-policy.js';
import type { Policy } from './decorated-method.js';
import type { MethodPolicyDecorator } from './decorator-types.js';
import { PartsByName } from './parts-by-name.js';

type KeyFunction = (...args: never[]) => string;

type Limits = Omit<LimiterOptions, 'name' | 'timeout' | 'clock' | 'random' | 'onEvent'>;

export interface RateLimitedOptions<Key extends KeyFunction = KeyFunction> extends Limits {
  /**
   * Whose quota a call draws from: `key: (userId: string) => userId`. Not asynchronous; a call rejects with
   * `WP_BAD_OPTION` when it returns no string. Default: the tenant of the request, else one for all.
   */
  readonly key?: Key;
  /** What a call costs, from its arguments. Default 1. */
  readonly cost?: (...args: Parameters<Key>) => Cost;
  /** How long a call over the limit may wait for its turn, instead of being refused. Default 0. */
  readonly wait?: Duration;
  /** Names the limiter in events, metrics and headers. Default `Class.method`, in headers `default`. */
  readonly name?: string;
  /** Reject with `WP_MODULE_MISSING` where there is no WarmpathModule, instead of running the bare method. */
  readonly strict?: boolean;
}

const {
  name: _name,
  timeout: _timeout,
  clock: _clock,
  random: _random,
  onEvent: _onEvent,
  ...policyRules
} = limiterRules;
const rules: Rules<RateLimitedOptions> = {
  ...policyRules,
  key: rule.function,
  cost: rule.function,
  wait: rule.duration,
  name: rule.text,
  strict: rule.boolean,
};

/**
 * Lets `limit` calls through in each `window`, or what `limits` say; past it a call rejects with `RateLimitedException` (429) and
 * the method does not run. When that exception answers an HTTP request, the answer carries `Retry-After` and the `RateLimit`
 * fields. A limit with `concurrent` counts calls until their promise settles.
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function RateLimited<Key extends KeyFunction = () => string>(
  options: RateLimitedOptions<Key>,
): MethodPolicyDecorator<Key> {
  checkOptions<RateLimitedOptions>('@RateLimited()', options as RateLimitedOptions, rules);
  const { key, cost, wait = 0, name, strict = false, ...limits } = options;
  const keyOf = key as ((...args: readonly unknown[]) => unknown) | undefined;
  const costOf = cost as ((...args: readonly unknown[]) => Cost) | undefined;
  const holds = limits.limits?.some((limit) => 'concurrent' in limit) ?? false;
  const limiters = new PartsByName<Limiter>();

  async function admit(
    limiter: Limiter,
    payer: string | undefined,
    price: Cost | undefined,
  ): Promise<Lease | undefined> {
    if (wait === 0 && !limiter.isShared && !holds) return through(limiter, limiter.tryTake(payer, price));
    const call = { timeout: wait };
    if (!holds) return through(limiter, await limiter.take(payer, price, call));
    const reservation = await limiter.reserve(payer, price, call);
    through(limiter, reservation);
    return reservation.ok ? reservation.lease : undefined;
  }

  function through(limiter: Limiter, decision: Decision): undefined {
    if (decision.ok) return;
    const refusal = new RateLimitedException(limiter, decision, name);
    announceRefusal(refusal.headers);
    throw refusal;
  }

  const policy: Policy = {
    kind: 'RateLimited',
    strict,
    layer(runtime: Warmpath, { id }, next) {
      const limiter = limiters.get(runtime, name ?? id, (own) => runtime.limiter(own, limits));
      return async (self, args) => {
        const payer = keyOf
          ? stringFrom(`@RateLimited() on ${id}`, 'key', Reflect.apply(keyOf, self, args))
          : currentContext()?.tenant;
        const lease = await admit(limiter, payer, costOf && Reflect.apply(costOf, self, args));
        try {
          return await next(self, args);
        } finally {
          lease?.settle();
        }
      };
    },
  };
  return applyPolicy(policy) as MethodPolicyDecorator<Key>;
}
