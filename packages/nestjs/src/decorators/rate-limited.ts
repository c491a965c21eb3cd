import {
  badOption,
  checkOptions,
  currentContext,
  type Duration,
  type Rule,
  type Rules,
  rule,
  stringFrom,
} from '@warmpath/core/kernel';
import {
  type Cost,
  checkLimiter,
  type Limit,
  type Limiter,
  type LimiterOptions,
  limiterRules,
} from '@warmpath/core/limiter';
import { applyPolicy } from './apply-policy.js';
import type { Policy } from './decorated-method.js';
import type { MethodPolicyDecorator } from './decorator-types.js';
import { PartsByName } from './parts-by-name.js';
import { turnstile } from './turnstile.js';

type TextFunction = (...args: never[]) => string;
type CostFunction = (...args: never[]) => Cost;
type NumberFunction = (...args: never[]) => number;

type Limits = Omit<LimiterOptions, 'name' | 'timeout' | 'clock' | 'random' | 'onEvent'>;

export interface RateLimitedOptions<
  Key extends TextFunction = TextFunction,
  Price extends CostFunction = CostFunction,
  Plan extends TextFunction = TextFunction,
  Priority extends NumberFunction = NumberFunction,
> extends Limits {
  /**
   * Whose quota a call draws from: `key: (userId: string) => userId`. Not asynchronous; a call rejects with
   * `WP_BAD_OPTION` when it returns no string. Default: the tenant of the request, else one for all.
   */
  readonly key?: Key;
  /** What a call costs: `cost: (text: string) => ({ tokens: text.length / 4 })`. Default 1. */
  readonly cost?: Price;
  /** How long a call over the limit may wait for its turn, instead of being refused. Default 0. */
  readonly wait?: Duration;
  /** Who goes first where several wait for one key: from 0, the most urgent, to 9. Default 5. */
  readonly priority?: Priority;
  /** In the place of limits for all: those of each plan, which counts by itself and is named `name.plan`. */
  readonly plans?: Readonly<Record<string, readonly Limit[]>>;
  /** Which of the plans is that of a call; not asynchronous. */
  readonly plan?: Plan;
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
const limitsRule = rule.arrayOf(rule.object, 1);
const plansRule: Rule = {
  text: "a list of limits for each plan, such as { free: [{ limit: 60, window: '1m' }] }",
  allows(value) {
    const lists = rule.object.allows(value) ? Object.values(value as object) : [];
    return lists.length > 0 && lists.every((list) => limitsRule.allows(list));
  },
};
const rules: Rules<RateLimitedOptions> = {
  ...policyRules,
  key: rule.function,
  cost: rule.function,
  wait: rule.duration,
  priority: rule.function,
  plans: plansRule,
  plan: rule.function,
  name: rule.text,
  strict: rule.boolean,
};
const where = '@RateLimited()';

/**
 * Lets `limit` calls through in each `window`, or what `limits` or the plan of a call say; past it a call rejects with
 * `RateLimitedException` and the method does not run. Over HTTP that is 429 with `Retry-After` and the `RateLimit` fields, or 503
 * where nobody can tell, since the store of the limits is away and `onStoreError` says to refuse. A limit with `concurrent`
 * counts calls until their promise settles, but none for longer than `leaseTtl`.
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function RateLimited<
  Key extends TextFunction = () => string,
  Price extends CostFunction = () => Cost,
  Plan extends TextFunction = () => string,
  Priority extends NumberFunction = () => number,
>(
  options: RateLimitedOptions<Key, Price, Plan, Priority>,
): MethodPolicyDecorator<readonly [Key, Price, Plan, Priority]> {
  checkOptions<RateLimitedOptions>(where, options as RateLimitedOptions, rules);
  const { key, cost, wait = 0, priority, plans, plan, name, strict = false, ...own } = options;
  const variants = variantsOf(own, plans, plan);
  const limiters = new PartsByName<Limiter>();
  const policy: Policy = {
    kind: 'RateLimited',
    strict,
    layer(runtime, { id }, next) {
      const turnstiles = new Map(
        Array.from(variants, ([variant, limits]) => {
          const limiter = limiters.get(runtime, `${name ?? id}${variant}`, (named) => runtime.limiter(named, limits));
          return [variant, turnstile(limiter, { limits, wait, policy: `${name ?? 'default'}${variant}` })];
        }),
      );
      return async (self, args) => {
        const told = (option: string, by: TextFunction): string =>
          stringFrom(`${where} on ${id}`, option, Reflect.apply(by, self, args));
        const payer = key ? told('key', key) : currentContext()?.tenant;
        const its = plan ? told('plan', plan) : undefined;
        const pass = turnstiles.get(its === undefined ? '' : `.${its}`);
        if (!pass) throw badOption(`${where} on ${id}`, 'plan', `one of ${Object.keys(plans ?? {}).join(', ')}`, its);
        const lease = await pass(
          payer,
          cost && Reflect.apply(cost, self, args),
          priority && Reflect.apply(priority, self, args),
        );
        try {
          return await next(self, args);
        } finally {
          lease?.settle();
        }
      };
    },
  };
  return applyPolicy(policy) as MethodPolicyDecorator<readonly [Key, Price, Plan, Priority]>;
}

/** The limits of all, or of each plan, by what their limiters' names end with. @throws WarmpathError `WP_BAD_OPTION` */
function variantsOf(own: Limits, plans: RateLimitedOptions['plans'], plan: unknown): ReadonlyMap<string, Limits> {
  if (plan && !plans) throw badOption(where, 'plans', "given beside 'plan'", plans);
  if (plans && !plan) throw badOption(where, 'plan', "given beside 'plans': which of them is that of a call", plan);
  const ofPlans = Object.entries(plans ?? {}).map(([its, limits]) => [`.${its}`, { ...own, limits }] as const);
  const variants = new Map<string, Limits>(plans ? ofPlans : [['', own]]);
  for (const limits of variants.values()) checkLimiter({ ...limits, name: where }, where);
  return variants;
}
