import { badOption, checkOptions, type Rules, rule } from '../kernel/index.js';
import type { Cache, WrapOptions, Wrapped, WriteCall } from './contract.js';
import { copyOf } from './isolation/isolation.js';

type AnyArgs = readonly unknown[];

const rules: Rules<WrapOptions<AnyArgs>> = {
  name: rule.text,
  key: rule.function,
  tags: rule.either(rule.arrayOf(rule.text), rule.function),
  ttl: rule.duration,
  tenant: rule.text,
};

/** @throws WarmpathError `WP_BAD_OPTION` */
export function wrapFunction<Args extends AnyArgs, V>(
  cache: Cache,
  fn: (...args: Args) => V | Promise<V>,
  options: WrapOptions<Args> = {},
): Wrapped<Args, V> {
  if (typeof fn !== 'function') throw badOption(`wrap() of cache '${cache.name}'`, 'fn', 'a function', fn);
  checkOptions<WrapOptions<AnyArgs>>(`wrap() of cache '${cache.name}'`, options as WrapOptions<AnyArgs>, rules);
  const { name = fn.name, key: keyOfArgs, tags = [], ...call } = options;
  if (!rule.text.allows(name)) {
    // Two functions without a name would share their keys, and give out each other's values.
    throw badOption(`wrap() of cache '${cache.name}'`, 'name', 'given for a function that has none', name);
  }
  const key = (...args: Args): unknown => [name, keyOfArgs ? keyOfArgs(...args) : args];
  const fixed: WriteCall = typeof tags === 'function' ? call : { ...call, tags };
  const callFor = (args: Args): WriteCall => (typeof tags === 'function' ? { ...call, tags: tags(...args) } : fixed);
  function cached(...args: Args): Promise<V> {
    try {
      const own = keyOfArgs ? args : ownArgs(args);
      return cache.getOrSet<V>(key(...args), () => fn(...own), callFor(args));
    } catch (error) {
      return Promise.reject(error); // of `key` or `tags`
    }
  }
  return Object.assign(cached, {
    key,
    peek: (...args: Args) => cache.peek<V>(key(...args), call),
    invalidate: (...args: Args) => cache.delete(key(...args), call),
    expire: (...args: Args) => cache.expire(key(...args), call),
  });
}

/**
 * The computation may begin after its caller has gone on, and changed what it passed: the value would belong to another key
 * than the one that was asked for. Arguments that are the key are data, and have a copy.
 */
function ownArgs<Args extends AnyArgs>(args: Args): Args {
  return args.some((arg) => typeof arg === 'object' && arg !== null) ? copyOf(args) : args;
}
