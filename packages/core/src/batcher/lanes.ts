import { Capacity } from './capacity.js';
import { Group, type GroupOwner } from './group.js';
import type { BatcherConfig } from './options.js';
import { Pace } from './pace.js';

/** Of what is remembered though nothing waits for it: more are forgotten, first those that were made first. */
const mostIdle = 1_000;
/** How many are looked at for one that can be forgotten, whenever another one is made. */
const looksAtOnce = 8;

/** What may not travel with anything else, such as all items for one model: what is learned of its calls, and its groups. */
export class Lane<Item, Result> {
  readonly apart: unknown;
  readonly capacity: Capacity;
  readonly pace: Pace = new Pace();
  readonly #groups = new Map<string | undefined, Group<Item, Result>>();
  readonly #owner: GroupOwner<Item, Result>;

  constructor(apart: unknown, capacity: Capacity, owner: GroupOwner<Item, Result>) {
    this.apart = apart;
    this.capacity = capacity;
    this.#owner = owner;
  }

  get isIdle(): boolean {
    for (const group of this.#groups.values()) if (!group.isIdle) return false;
    return true;
  }

  groupOf(tenant: string | undefined): Group<Item, Result> {
    const known = this.#groups.get(tenant);
    if (known) return known;
    forgetIdle(this.#groups);
    const group = new Group<Item, Result>(this, tenant, this.#owner);
    this.#groups.set(tenant, group);
    return group;
  }
}

/**
 * The lanes of a batcher, by what keeps items apart. Those of objects live as long as the objects; of others, and of the
 * tenants of each, 1,000 are remembered while nothing waits in them.
 */
export class Lanes<Item, Result, Key> {
  readonly #config: BatcherConfig<Item, Key>;
  readonly #owner: GroupOwner<Item, Result>;
  readonly #only: Lane<Item, Result>;
  readonly #byValue = new Map<unknown, Lane<Item, Result>>();
  readonly #byObject = new WeakMap<object, Lane<Item, Result>>();

  constructor(config: BatcherConfig<Item, Key>, owner: GroupOwner<Item, Result>) {
    this.#config = config;
    this.#owner = owner;
    this.#only = this.#made(undefined);
  }

  /** The group of what is neither of a tenant nor kept apart. */
  get common(): Group<Item, Result> {
    return this.#only.groupOf(undefined);
  }

  of(item: Item, said: unknown): Lane<Item, Result> {
    const value = said === undefined ? this.#config.apart?.(item) : said;
    if (value === undefined) return this.#only;
    if ((typeof value === 'object' && value !== null) || typeof value === 'function') {
      const known = this.#byObject.get(value);
      if (known) return known;
      const lane = this.#made(value);
      this.#byObject.set(value, lane);
      return lane;
    }
    const known = this.#byValue.get(value);
    if (known) return known;
    forgetIdle(this.#byValue);
    const lane = this.#made(value);
    this.#byValue.set(value, lane);
    return lane;
  }

  #made(apart: unknown): Lane<Item, Result> {
    const { maxItems, maxWeight, maxBytes, weight } = this.#config;
    const isWeighed = weight !== undefined;
    return new Lane(apart, new Capacity({ maxItems, maxWeight, maxBytes, isWeighed }), this.#owner);
  }
}

/** Makes room for another one where there are too many that nothing waits in; those that are busy go to the end. */
function forgetIdle<Key, Part extends { readonly isIdle: boolean }>(parts: Map<Key, Part>): void {
  if (parts.size < mostIdle) return;
  let looks = 0;
  for (const [key, part] of parts) {
    parts.delete(key);
    if (!part.isIdle) parts.set(key, part);
    if (++looks === looksAtOnce || parts.size < mostIdle) return;
  }
}
