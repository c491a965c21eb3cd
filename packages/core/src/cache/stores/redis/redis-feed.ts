import type { Invalidation, StoreFeed } from '../../store.js';
import { type BusListener, type BusVersions, RedisBus, type RedisBusOptions } from './redis-bus.js';

export interface RedisFeedsOptions extends Pick<RedisBusOptions, 'port' | 'clock' | 'publisher'> {
  readonly keysOf: (namespace: string) => RedisBusOptions['keys'];
  /** Called with all that others have invalidated, while a feed is open. */
  readonly onHeard: (namespace: string, invalidation: Invalidation) => void;
}

/** From so many names on it is cheaper to be told that much has happened. */
const mostNames = 10_000;

const nobody = (): void => {};

/** The feeds of one store object: those of a namespace share one subscription. */
export class RedisFeeds {
  readonly #options: RedisFeedsOptions;
  readonly #buses = new Map<string, RedisBus>();

  constructor(options: RedisFeedsOptions) {
    this.#options = options;
  }

  open(namespace: string): StoreFeed {
    const bus = this.#buses.get(namespace) ?? this.#newBus(namespace);
    return new RedisFeed(bus, () => {
      if (bus.isClosed && this.#buses.get(namespace) === bus) this.#buses.delete(namespace);
    });
  }

  /**
   * To be called when a read of a namespace's versions is sent.
   * @returns what is to be told the versions that it gave
   */
  asking(namespace: string): (versions: BusVersions) => void {
    return this.#buses.get(namespace)?.asking() ?? nobody;
  }

  #newBus(namespace: string): RedisBus {
    const { port, clock, publisher, keysOf, onHeard } = this.#options;
    const bus = new RedisBus({
      port,
      clock,
      publisher,
      keys: keysOf(namespace),
      onHeard: (invalidation) => onHeard(namespace, invalidation),
    });
    this.#buses.set(namespace, bus);
    return bus;
  }
}

/** What one cache has still to be told. */
class RedisFeed implements StoreFeed, BusListener {
  readonly #bus: RedisBus;
  readonly #leave: () => void;
  readonly #onClose: () => void;
  readonly #watchers = new Map<string, Set<{ readonly onChange: () => void }>>();
  #news: Invalidation[] | 'gap' | undefined;
  #names = 0;

  constructor(bus: RedisBus, onClose: () => void) {
    this.#bus = bus;
    this.#leave = bus.add(this);
    this.#onClose = onClose;
  }

  poll(): readonly Invalidation[] | 'gap' | undefined {
    const news = this.#news;
    if (news !== undefined) {
      this.#news = undefined;
      this.#names = 0;
    }
    return news;
  }

  silentMs(): number {
    return this.#bus.silentMs;
  }

  watch(key: string, onChange: () => void): () => void {
    const watcher = { onChange };
    const same = this.#watchers.get(key) ?? new Set();
    this.#watchers.set(key, same.add(watcher));
    return () => {
      same.delete(watcher);
      if (same.size === 0 && this.#watchers.get(key) === same) this.#watchers.delete(key);
    };
  }

  close(): void {
    this.#watchers.clear();
    this.#leave();
    this.#onClose();
    this.#news = undefined;
  }

  tell(news: Invalidation | 'gap'): void {
    if (this.#news === 'gap') return; // what has happened before it is asked for is covered
    if (news === 'gap') {
      this.#news = 'gap';
      return;
    }
    this.#names += namesOf(news);
    if (this.#names > mostNames) this.#news = 'gap';
    else if (this.#news) this.#news.push(news);
    else this.#news = [news];
  }

  wake(keys: readonly string[] = [...this.#watchers.keys()]): void {
    if (this.#watchers.size === 0) return;
    for (const key of keys) for (const { onChange } of [...(this.#watchers.get(key) ?? [])]) onChange();
  }
}

function namesOf(invalidation: Invalidation): number {
  if (invalidation.type === 'clear') return 1;
  return invalidation.type === 'tags' ? invalidation.tags.length : invalidation.keys.length;
}
