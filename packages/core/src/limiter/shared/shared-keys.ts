import type { Dimension } from '../dimensions.js';
import { Debt } from './debt.js';
import { OutageShare } from './outage-share.js';
import { OwnRecord } from './own-record.js';
import type { Prefetched } from './prefetched.js';
import type { TakeGroup } from './take-group.js';

/** What this process knows of one account that others share. */
export class SharedKey {
  readonly key: string;
  readonly own: OwnRecord;
  readonly debt: Debt;
  /** What was taken in advance; undefined where nothing was. */
  prefetched: Prefetched | undefined;
  /** Those who ask in this turn of the event loop. */
  group: TakeGroup | undefined;
  readonly #dimensions: readonly Dimension[];
  #share: OutageShare | undefined;

  constructor(key: string, dimensions: readonly Dimension[]) {
    this.key = key;
    this.#dimensions = dimensions;
    this.own = new OwnRecord(dimensions);
    this.debt = new Debt(dimensions);
  }

  /** Most keys never see an outage. */
  get share(): OutageShare {
    this.#share ??= new OutageShare(this.#dimensions);
    return this.#share;
  }
}

/** How many of those that were used least recently are looked at for one that nobody would miss. */
const mostSeen = 16;
const mostRecent = 1_000;

/**
 * The keys in use, no more than `maxKeys`. Past it the one that was used least recently goes, if it can be one that owes
 * nothing; its debt goes with it.
 */
export class SharedKeys {
  readonly #keys = new Map<string, SharedKey>();
  /** A ring of the last uses. */
  readonly #recent: SharedKey[] = [];
  #uses = 0;
  readonly #dimensions: readonly Dimension[];
  readonly #maxKeys: number;
  readonly #isOwing: (key: SharedKey) => boolean;
  readonly #onGone: (key: SharedKey) => void;

  constructor(options: {
    readonly dimensions: readonly Dimension[];
    readonly maxKeys: number;
    readonly isOwing: (key: SharedKey) => boolean;
    readonly onGone: (key: SharedKey) => void;
  }) {
    this.#dimensions = options.dimensions;
    this.#maxKeys = options.maxKeys;
    this.#isOwing = options.isOwing;
    this.#onGone = options.onGone;
  }

  get size(): number {
    return this.#keys.size;
  }

  /** Without counting as a use. */
  peek(key: string): SharedKey | undefined {
    return this.#keys.get(key);
  }

  of(key: string): SharedKey {
    const known = this.#keys.get(key);
    const shared = known ?? new SharedKey(key, this.#dimensions);
    if (known) this.#keys.delete(key);
    else if (this.#keys.size >= this.#maxKeys) this.#drop();
    this.#keys.set(key, shared);
    this.#recent[this.#uses++ % mostRecent] = shared;
    return shared;
  }

  /** Those that were used last. */
  recent(): ReadonlySet<SharedKey> {
    return new Set(this.#recent);
  }

  #drop(): void {
    let first: SharedKey | undefined;
    let seen = 0;
    for (const shared of this.#keys.values()) {
      first ??= shared;
      if (!this.#isOwing(shared)) {
        first = shared;
        break;
      }
      if (++seen >= mostSeen) break;
    }
    if (!first) return;
    this.#keys.delete(first.key);
    this.#onGone(first);
  }
}
