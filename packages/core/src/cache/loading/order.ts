import { WarmpathError } from '../../kernel/index.js';
import type { Computation, WriteCall } from '../contract.js';
import { copyOf } from '../isolation/isolation.js';
import type { Place } from '../place.js';
import { checkedTags, checkedTtlMs } from './directives.js';

/** Values for the places at these positions, in their order. */
export type ComputeMany = (positions: readonly number[], computation: Computation) => unknown;

/** How a call wants its values kept. */
interface Keeping {
  /** Undefined: the cache's. */
  readonly ttlMs: number | undefined;
  readonly tags: readonly string[];
}

/** What is to be loaded, and how. */
export interface Order extends Keeping {
  readonly places: readonly Place[];
  readonly compute: ComputeMany;
  /** Whether an Error in the place of a value is the failure of its place alone, rather than a value like any other. */
  readonly failsByPlace: boolean;
}

/** A key as its caller wrote it, to compute its value from. */
export interface Wanted<K> {
  readonly key: K;
  readonly place: Place;
}

/** @throws WarmpathError `WP_BAD_OPTION` */
export function keepingOf(cache: string, { ttl, tags }: WriteCall): Keeping {
  return {
    ttlMs: ttl === undefined ? undefined : checkedTtlMs(cache, ttl),
    tags: tags === undefined ? [] : checkedTags(cache, tags),
  };
}

/** @throws WarmpathError `WP_BAD_OPTION` */
export function orderOfMany<K>(
  cache: string,
  wanted: readonly Wanted<K>[],
  compute: (keys: readonly K[], computation: Computation) => unknown,
  call: WriteCall,
): Order {
  // Their owner may change them before the computation begins, and the values would belong to other keys.
  const keys = wanted.map(({ key }) => copyOf(key));
  const keysAt = (positions: readonly number[]): K[] => positions.map((position) => keys[position] as K);
  return {
    places: wanted.map(({ place }) => place),
    compute: (positions, computation) => compute(keysAt(positions), computation),
    failsByPlace: true,
    ...keepingOf(cache, call),
  };
}

/** The same order for one of its places. */
export function onlyAt(order: Order, position: number, place: Place): Order {
  const compute: ComputeMany = (_, computation) => order.compute([position], computation);
  return { ...order, places: [place], compute };
}

/** @throws WarmpathError `WP_BATCH_MISMATCH` for anything but so many values */
export function checkedValues(cache: string, expected: number, values: unknown): readonly unknown[] {
  if (Array.isArray(values) && values.length === expected) return values;
  const got = Array.isArray(values)
    ? `${values.length} ${values.length === 1 ? 'value' : 'values'}`
    : `no list of values (${typeof values})`;
  throw new WarmpathError('WP_BATCH_MISMATCH', `A computation of cache '${cache}' gave ${got} for ${expected} keys.`, {
    details: { cache, expected, got: Array.isArray(values) ? values.length : undefined },
  });
}
