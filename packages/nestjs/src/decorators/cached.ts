import { StreamableFile } from '@nestjs/common';
import { type Cache, type CacheOptions, cacheRules } from '@warmpath/core/cache';
import { checkOptions, type Rules, rule, WarmpathError } from '@warmpath/core/kernel';
import { isObservable } from 'rxjs';
import { reportCacheResult } from '../cache-report.js';
import { applyPolicy } from './apply-policy.js';
import type { Policy } from './decorated-method.js';
import type { ArgumentsFunction, MethodPolicyDecorator } from './decorator-types.js';
import { PartsByName } from './parts-by-name.js';

type TagsOption = readonly string[] | ((...args: never[]) => readonly string[]);

export interface CachedOptions<Key extends ArgumentsFunction = ArgumentsFunction, Tags extends TagsOption = TagsOption>
  extends Omit<CacheOptions, 'name' | 'clock' | 'random' | 'onEvent'> {
  /**
   * What tells calls apart, as data: `key: (id: string) => id`. Default: all arguments. Its parameters are checked
   * against the method's.
   */
  readonly key?: Key;
  /**
   * What `invalidateTags` of the cache may name to forget the answer: a list, or a function that makes one of the method's
   * arguments: `tags: (id: string) => [id, 'all']`. Its parameters are checked against the method's as well.
   */
  readonly tags?: Tags;
  /** Names the cache in events, metrics and a shared store. Default `Class.method`. */
  readonly name?: string;
  /** Reject with `WP_MODULE_MISSING` where there is no WarmpathModule, instead of running the bare method. */
  readonly strict?: boolean;
}

const { name: _name, clock: _clock, random: _random, onEvent: _onEvent, ...policyRules } = cacheRules;
const rules: Rules<CachedOptions> = {
  ...policyRules,
  key: rule.function,
  tags: rule.either(rule.arrayOf(rule.text), rule.function),
  name: rule.text,
  strict: rule.boolean,
};

/**
 * Answers from the runtime's cache, and computes once for all who ask at the same time. Entries belong to the method of
 * this class: two instances share them, two subclasses do not. What callers get is isolated (see `isolation`): by default it
 * is frozen, so a caller that wants to change it makes a copy.
 * A call rejects with `WP_BAD_KEY` when an argument has no canonical form (pass `key`), and with `WP_BAD_OPTION` when the
 * method answers with something that can be read only once, such as a stream or an Observable.
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function Cached<Key extends ArgumentsFunction = () => unknown, Tags extends TagsOption = readonly string[]>(
  options: CachedOptions<Key, Tags> = {},
): MethodPolicyDecorator<readonly [Key, Tags]> {
  checkOptions<CachedOptions>('@Cached()', options as CachedOptions, rules);
  const { key, tags, name, strict = false, ...cacheOptions } = options;
  const keyOf = (key ?? ((...args: unknown[]) => args)) as (...args: readonly unknown[]) => unknown;
  const tagsOf = (typeof tags === 'function' ? tags : () => tags ?? []) as (
    ...args: readonly unknown[]
  ) => readonly string[];
  const caches = new PartsByName<Cache>();
  const policy: Policy = {
    kind: 'Cached',
    strict,
    layer(runtime, { id }, next) {
      const cache = caches.get(runtime, name ?? id, (own) => runtime.cache(own, cacheOptions));
      return async (self, args) => {
        const result = await cache.resolve(
          Reflect.apply(keyOf, self, args),
          async () => keepable(await next(self, args), id),
          { tags: Reflect.apply(tagsOf, self, args) },
        );
        reportCacheResult(cache.name, result);
        return result.value;
      };
    },
  };
  return applyPolicy(policy) as MethodPolicyDecorator<readonly [Key, Tags]>;
}

/** Lets a value pass that can be given out more than once. */
function keepable(value: unknown, method: string): unknown {
  const kind = readOnceKind(value);
  if (kind === undefined) return value;
  throw new WarmpathError(
    'WP_BAD_OPTION',
    `@Cached() on ${method}: the method answered with ${kind}, which can be read only once. Cache what it carries: ` +
      'collect it first, or use the stream() of an injected cache.',
    { details: { method, kind } },
  );
}

function readOnceKind(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (isObservable(value)) return 'an Observable';
  if (value instanceof StreamableFile) return 'a StreamableFile';
  if (value instanceof Response) return 'a Response';
  if (value instanceof ReadableStream) return 'a ReadableStream';
  if (Symbol.asyncIterator in value) return 'an AsyncIterable';
  if (Symbol.iterator in value && 'next' in value) return 'an iterator';
  return undefined;
}
