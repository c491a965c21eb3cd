import type { Clock, Random, RedisPort } from '../../../kernel/index.js';
import type {
  CacheStore,
  Invalidation,
  StoreAnswer,
  StoreFeed,
  StoreInvalidation,
  StoreLeasing,
  StoreRead,
  StoreStreaming,
  StoreWrite,
} from '../../store.js';
import { EntryReader } from './entry-reader.js';
import { EntryWriter } from './entry-writer.js';
import { Invalidator } from './invalidator.js';
import { Journal } from './journal.js';
import { LeaseDesk } from './lease-desk.js';
import { newEpoch, newPublisher } from './random-text.js';
import { RedisFeeds } from './redis-feed.js';
import { type RedisKeys, redisKeys } from './redis-keys.js';
import { RedisSpace } from './redis-space.js';
import { restartScript } from './scripts.js';
import { StreamLog } from './stream-log.js';

/** A tier that machines share. */
export interface RedisStore extends CacheStore {
  readonly leasing: StoreLeasing;
  readonly streaming: StoreStreaming;
  openFeed(namespace: string): StoreFeed;
  /** Lets go of its connections, after waiting a moment for what is under way. Idempotent. Later calls are refused. */
  close(): Promise<void>;
}

export interface RedisStoreSettings {
  readonly name: string;
  readonly prefix: string;
  readonly leaseTtlMs: number;
  readonly clock: Clock;
  readonly random: Random;
}

/** The store over any port. */
export function redisStoreOver(port: RedisPort, settings: RedisStoreSettings): RedisStore {
  return new PortStore(port, settings);
}

interface Namespace {
  readonly reader: EntryReader;
  readonly writer: EntryWriter;
  readonly invalidator: Invalidator;
  readonly desk: LeaseDesk;
  readonly streams: StreamLog;
  readonly journal: Journal;
}

class PortStore implements RedisStore {
  readonly name: string;
  readonly leasing: StoreLeasing;
  readonly streaming: StoreStreaming;
  readonly #port: RedisPort;
  readonly #settings: RedisStoreSettings;
  readonly #publisher: string;
  readonly #feeds: RedisFeeds;
  readonly #namespaces = new Map<string, Namespace>();
  readonly #closing = new AbortController();

  constructor(port: RedisPort, settings: RedisStoreSettings) {
    const { name, prefix, clock, random } = settings;
    this.name = name;
    this.#port = port;
    this.#settings = settings;
    this.#publisher = newPublisher(random);
    this.#feeds = new RedisFeeds({
      port,
      clock,
      publisher: this.#publisher,
      keysOf: (namespace) => redisKeys(prefix, namespace),
      onHeard: (namespace, invalidation) => this.#in(namespace).journal.add(invalidation),
    });
    this.leasing = {
      acquire: (request) => this.#in(request.namespace).desk.acquire(request),
      renew: (hold) => this.#in(hold.namespace).desk.renew(hold),
      release: (hold) => this.#in(hold.namespace).desk.release(hold),
    };
    this.streaming = {
      holder: (of) => this.#in(of.namespace).streams.holder(of),
      append: (append) => this.#in(append.namespace).streams.append(append),
      read: (read) => this.#in(read.namespace).streams.read(read),
    };
  }

  getMany(read: StoreRead): Promise<StoreAnswer> {
    return this.#in(read.namespace).reader.getMany(read);
  }

  async setMany(write: StoreWrite): Promise<readonly boolean[]> {
    const { writer, journal } = this.#in(write.namespace);
    const stored = await writer.setMany(write);
    const keys = write.entries.flatMap(({ key, fence }) => (fence === undefined ? [key] : []));
    if (keys.length > 0) journal.add({ type: 'delete', keys });
    return stored;
  }

  async invalidate({ namespace, invalidation, signal }: StoreInvalidation): Promise<void> {
    const { invalidator, journal } = this.#in(namespace);
    await invalidator.invalidate(invalidation, signal);
    journal.add(invalidation);
  }

  openFeed(namespace: string): StoreFeed {
    this.#in(namespace);
    return this.#feeds.open(namespace);
  }

  close(): Promise<void> {
    this.#closing.abort();
    return this.#port.close();
  }

  #in(namespace: string): Namespace {
    return this.#namespaces.get(namespace) ?? this.#begin(namespace);
  }

  #begin(namespace: string): Namespace {
    const { prefix, leaseTtlMs, clock, random } = this.#settings;
    const keys = redisKeys(prefix, namespace);
    const asking = (): ReturnType<RedisFeeds['asking']> => this.#feeds.asking(namespace);
    const space = new RedisSpace({ port: this.#port, keys, clock, random, asking });
    const invalidator = new Invalidator(space, this.#publisher);
    const journal = new Journal(clock);
    const begun = {
      reader: new EntryReader(space),
      writer: new EntryWriter(space, invalidator),
      invalidator,
      desk: new LeaseDesk(space, leaseTtlMs),
      streams: new StreamLog(space, leaseTtlMs),
      journal,
    };
    this.#namespaces.set(namespace, begun);
    this.#port.onServer(async (runId, owns) => {
      const { signal } = this.#closing;
      // Up to now: from now on it is told itself.
      const told = journal
        .replay()
        .flatMap((invalidation) => (owns ? concerning(invalidation, keys, owns) : invalidation));
      await this.#port.run(restartScript, [keys.versions], [newEpoch(random), runId], signal);
      await retell(told, invalidator, signal);
    });
    return begun;
  }
}

/** As much of it as a server has to know: with the versions go tags and clears, with an entry its key. */
function concerning(invalidation: Invalidation, names: RedisKeys, owns: (key: string) => boolean): Invalidation[] {
  const { type } = invalidation;
  if (type === 'tags' || type === 'clear') return owns(names.versions) ? [invalidation] : [];
  const keys = invalidation.keys.filter((key) => owns(names.entry(key)));
  return keys.length > 0 ? [{ type, keys }] : [];
}

/** Another server may not know what the one of before was told. */
async function retell(
  invalidations: readonly Invalidation[],
  invalidator: Invalidator,
  signal: AbortSignal,
): Promise<void> {
  for (const invalidation of invalidations) await invalidator.invalidate(invalidation, signal);
}
