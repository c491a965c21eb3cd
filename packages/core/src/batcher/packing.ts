import type { Capacity } from './capacity.js';
import type { Load } from './load.js';

/**
 * What goes into the next batch out of the front of a line: `pressed`, or the oldest, and as much as fits beside it. Where only
 * the number counts, those who came first. Else the largest that still fit first ("first-fit decreasing" for one bin). Whoever
 * leads it is always in. Cost: O(m log m) for a front of m.
 */
export function packed<Item, Result>(
  front: readonly Load<Item, Result>[],
  pressed: Load<Item, Result> | undefined,
  { maxItems, maxWeight, maxBytes, isOfNumberOnly }: Capacity,
): ReadonlySet<Load<Item, Result>> {
  const seed = pressed ?? front[0];
  if (seed === undefined) return new Set();
  const chosen = new Set([seed]);
  let { weight, bytes } = seed;
  const share = (load: Load<Item, Result>): number => Math.max(load.weight / maxWeight, load.bytes / maxBytes);
  for (const load of isOfNumberOnly ? front : front.toSorted((a, b) => share(b) - share(a))) {
    if (chosen.size >= maxItems) break;
    if (chosen.has(load) || weight + load.weight > maxWeight || bytes + load.bytes > maxBytes) continue;
    chosen.add(load);
    weight += load.weight;
    bytes += load.bytes;
  }
  return chosen;
}
