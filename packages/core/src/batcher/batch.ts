import type { BatchSize } from './capacity.js';
import type { BatchTrigger } from './events.js';
import type { Group } from './group.js';
import type { Load } from './load.js';

/** What is sent in one call. */
export interface Batch<Item, Result> {
  readonly group: Group<Item, Result>;
  readonly loads: readonly Load<Item, Result>[];
  readonly trigger: BatchTrigger;
  /** 1, or more after transient failures. */
  readonly attempt: number;
}

export function sizeOf(loads: readonly { readonly weight: number; readonly bytes: number }[]): BatchSize {
  let weight = 0;
  let bytes = 0;
  for (const load of loads) {
    weight += load.weight;
    bytes += load.bytes;
  }
  return { items: loads.length, weight, bytes };
}
