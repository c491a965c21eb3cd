import type { Timer } from '../../kernel/index.js';
import { Invalidations } from '../invalidations.js';
import type { CacheStore, Fence, Invalidation, StoreAnswer, StoredEntry, StoreFeed, StoreLeases } from '../store.js';
import { PendingWrites, type Turn } from './pending-writes.js';
import { ReadBatch } from './read-batch.js';
import { StoreCall, type StoreCallOptions } from './store-call.js';
import { StreamCalls } from './stream-calls.js';
import { type Ticket, Unsettled } from './unsettled.js';

const firstRetryMs = 1_000;
const longestRetryMs = 30_000;

/** One entry on its way to the store. */
export interface Write {
  readonly key: string;
  readonly entry: StoredEntry;
  readonly fence: Fence;
}

/** Leases, without what must not be served: there it is worth to ask again, from the start. */
export interface GuardedLeases extends Omit<StoreLeases, 'outcomes'> {
  readonly outcomes: readonly (StoreLeases['outcomes'][number] | undefined)[];
}

/**
 * The second tier as the cache sees it: no call fails and none takes longer than its deadline. A read that cannot be had
 * is a miss, a write goes on in the background and is tried once. An invalidation that the store does not confirm is
 * deferred: it is repeated until it is, and until then nothing that it covers is taken from the store.
 */
export class StoreGuard {
  /** The streams that are shared through it; undefined where the store has no part in them. */
  readonly streams: StreamCalls | undefined;
  readonly #options: StoreCallOptions;
  readonly #call: StoreCall;
  readonly #feed: StoreFeed | undefined;
  readonly #unsettled = new Unsettled();
  /** What the store has forgotten or replaced: that rules the answers, too, that it gave before and that come after. */
  readonly #confirmed = new Invalidations();
  readonly #pending = new PendingWrites();
  readonly #reads = new ReadBatch((keys, tags) => this.#ask(keys, tags));
  #retry: Timer | undefined;
  #retryMs = firstRetryMs;
  #isSettling = false;
  #isFeedBroken = false;
  #isClosed = false;

  constructor(options: StoreCallOptions) {
    this.#options = options;
    this.#call = new StoreCall(options, () => this.#retryNow());
    this.#feed = options.store.openFeed?.(options.name);
    const { leasing, streaming } = options.store;
    const isRight = (key: string, tags: readonly string[]): boolean => !this.#unsettled.covers(key, { tags });
    this.streams = leasing && streaming && new StreamCalls(options.name, this.#call, isRight);
  }

  /** Whether others tell what they invalidate. */
  get hasFeed(): boolean {
    return this.#feed !== undefined;
  }

  /** Whether it is of no use to ask: the last reads have failed. */
  get isAway(): boolean {
    return this.#call.isAway;
  }

  /** For how long it has not been known that all that others invalidate was heard. */
  get silentMs(): number {
    return this.#feed?.silentMs?.() ?? 0;
  }

  /** Undefined when the store could not be asked or did not answer in time. */
  async read(keys: readonly string[], tags: readonly string[]): Promise<StoreAnswer | undefined> {
    if (this.#unsettled.coversAll) return undefined;
    const since = this.#confirmed.sequence;
    const read = await this.#reads.read(keys, tags);
    if (!read) return undefined;
    const { answer, from } = read;
    const wall = this.#options.clock.wall();
    return {
      entries: keys.map((key, index) => {
        const entry = answer.entries[from + index] ?? undefined;
        if (entry === undefined || entry === 'unreadable') return entry;
        if (!isWhole(entry)) return 'unreadable';
        return entry.keptUntil > wall && this.#isRight(key, entry, since) ? entry : undefined;
      }),
      fence: answer.fence,
    };
  }

  /**
   * Who computes these keys. Undefined when the store does not say: then everybody does. A lease whose grant came too late
   * is given back.
   */
  async acquire(
    keys: readonly string[],
    fence: Fence,
    token: string,
    timeoutMs: number,
  ): Promise<GuardedLeases | undefined> {
    if (!this.#options.store.leasing || this.#unsettled.coversAll) return undefined;
    const since = this.#confirmed.sequence;
    const acquire = async ({ name, leasing }: CacheStore, signal: AbortSignal): Promise<StoreLeases> => {
      const answer = await leasing?.acquire({ namespace: this.#options.name, keys, fence, token, signal });
      if (answer?.outcomes.length === keys.length) return answer;
      throw new TypeError(`Store '${name}' answered without an outcome for each key.`);
    };
    const { value, late } = await this.#call.attempt('acquire', acquire, timeoutMs);
    void late?.then(() => this.release(keys, token));
    if (!value) return undefined;
    const wall = this.#options.clock.wall();
    const outcomes = value.outcomes.map((outcome, index) => {
      if (typeof outcome === 'string') return outcome;
      const isServed = isWhole(outcome) && outcome.keptUntil > wall && this.#isRight(keys[index] ?? '', outcome, since);
      return isServed ? outcome : undefined;
    });
    return { ...value, outcomes };
  }

  renew(keys: readonly string[], token: string): void {
    void this.#call.attempt('acquire', async ({ leasing }, signal) =>
      leasing?.renew({ namespace: this.#options.name, keys, token, signal }),
    );
  }

  release(keys: readonly string[], token: string): void {
    void this.#call.attempt('acquire', async ({ leasing }, signal) =>
      leasing?.release({ namespace: this.#options.name, keys, token, signal }),
    );
  }

  /** @returns how to end it; undefined when the store tells nothing */
  watch(key: string, onChange: () => void): (() => void) | undefined {
    return this.#feed?.watch?.(key, onChange);
  }

  /** @returns when it is over, in whichever way; undefined when nothing is written */
  write(writes: readonly Write[]): Promise<void> | undefined {
    const entries = this.#writable(writes);
    if (entries.length === 0) return undefined;
    const turn = this.#pending.beginWrite(keysOf(entries), isFenced(entries));
    return this.#write(entries, turn).then(turn.end);
  }

  /** @returns whether it is deferred: the store has not confirmed it within its deadline, or may yet be made to forget it */
  async invalidate(invalidation: Invalidation): Promise<boolean> {
    const ticket = this.#unsettled.add(invalidation);
    const isDone = await this.#inTime(this.#tell(ticket), false);
    return !isDone || this.#pending.mayUndo(ticket.invalidation);
  }

  /** What others have invalidated since the last call; `'gap'` when that cannot be said. */
  poll(): readonly Invalidation[] | 'gap' | undefined {
    if (!this.#feed) return undefined;
    try {
      const news = this.#feed.poll();
      const wasBroken = this.#isFeedBroken;
      this.#isFeedBroken = false;
      return wasBroken ? 'gap' : news;
    } catch (error) {
      if (this.#isFeedBroken) return undefined; // said already; what is kept from now on is right as far as this process knows
      this.#isFeedBroken = true;
      const { name, store, onEvent } = this.#options;
      onEvent?.({ type: 'cache.store-failed', cache: name, store: store.name, operation: 'poll', error });
      return 'gap';
    }
  }

  /** Resolves when no write is waited for any more, after at most one store deadline; nothing is repeated from then on. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#retry?.cancel();
    const { written } = this.#pending;
    if (written) await this.#inTime(written, undefined);
    this.#feed?.close();
  }

  async #ask(keys: readonly string[], tags: readonly string[]): Promise<StoreAnswer | undefined> {
    const { value } = await this.#call.attempt('getMany', async (store, signal) => {
      const answer = await store.getMany({ namespace: this.#options.name, keys, tags, signal });
      if (Array.isArray(answer?.entries)) return answer;
      throw new TypeError(`Store '${store.name}' answered without a list of entries.`);
    });
    return value;
  }

  /** Whether nothing that rules it is on its way to the store, or was when it was read. */
  #isRight(key: string, entry: StoredEntry, since: number): boolean {
    if (this.#pending.isLate(key) || this.#pending.isReplaced(key) || this.#unsettled.covers(key, entry)) return false;
    return !this.#confirmed.hasTouched([key, ...entry.tags], since);
  }

  /** What is written over a call that is late, or while the key is being invalidated, would be forgotten anyway. */
  #writable(writes: readonly Write[]): readonly Write[] {
    const isHeldBack = ({ key }: Write): boolean => this.#pending.isLate(key) || this.#unsettled.coversKey(key);
    const heldBack = writes.filter(isHeldBack);
    if (heldBack.length === 0) return writes;
    const entries = writes.filter((write) => !isHeldBack(write));
    this.#withdraw(heldBack.filter(({ key }) => !this.#pending.isLate(key)));
    return entries;
  }

  async #write(entries: readonly Write[], { earlier, isLast }: Turn): Promise<void> {
    if (earlier) await earlier; // two writes of one key land in their order; of those that wait only the last is made
    const wanted = this.#writable(entries.filter(({ key }) => isLast(key)));
    if (wanted.length === 0) return;
    const { value: isDone, late } = await this.#call.attempt('setMany', async (store, signal) => {
      await store.setMany({ namespace: this.#options.name, entries: wanted, signal });
      return true;
    });
    if (isDone) this.#confirmed.add(keysOf(wanted.filter(isSet)));
    else if (late) this.#watchLate(keysOf(wanted), isFenced(wanted), late);
    else this.#withdraw(wanted);
  }

  /** A value that was set says that the older one is wrong: if it cannot take its place, that has to go. */
  #withdraw(writes: readonly Write[]): void {
    const keys = keysOf(writes.filter((write) => isSet(write) && !this.#unsettled.forgets(write.key)));
    if (keys.length > 0) void this.invalidate({ type: 'delete', keys });
  }

  /** Nobody knows any more whether what lands late is still wanted: its keys may have been invalidated meanwhile. */
  #watchLate(keys: readonly string[], isFenced: boolean, late: Promise<void>): void {
    const landed = this.#pending.addLate(keys, isFenced);
    void late.then(() => {
      landed();
      void this.invalidate({ type: 'delete', keys });
    });
  }

  /** @returns whether the store has confirmed it; if it has not, it is told again later */
  #tell(ticket: Ticket): Promise<boolean> {
    const { invalidation } = ticket;
    const telling = this.#tellAfter(this.#pending.before(invalidation), ticket);
    if (invalidation.type === 'expire') this.#pending.expiring(invalidation.keys, telling);
    return telling;
  }

  async #tellAfter(others: Promise<unknown> | undefined, ticket: Ticket): Promise<boolean> {
    if (others) await others;
    const { invalidation } = ticket;
    const { value: isDone = false, late } = await this.#call.attempt('invalidate', async (store, signal) => {
      await store.invalidate({ namespace: this.#options.name, invalidation, signal });
      return true;
    });
    if (late && invalidation.type === 'expire') this.#watchLate(invalidation.keys, true, late);
    if (isDone) this.#settle(ticket);
    else this.#retryLater();
    return isDone;
  }

  #settle(ticket: Ticket): void {
    const { invalidation } = ticket;
    this.#unsettled.settle(ticket);
    if (invalidation.type === 'clear') this.#confirmed.addAll();
    else this.#confirmed.add(invalidation.type === 'tags' ? invalidation.tags : invalidation.keys);
  }

  #retryLater(): void {
    if (this.#isClosed) return;
    this.#retry ??= this.#options.clock.schedule(this.#retryMs, () => void this.#settleAll(), { background: true });
  }

  /** The store is back: what it has not confirmed need not wait for its turn. */
  #retryNow(): void {
    if (!this.#retry || this.#isSettling) return;
    this.#retry.cancel();
    this.#retry = undefined;
    this.#retryMs = 0;
    this.#retryLater();
  }

  async #settleAll(): Promise<void> {
    this.#isSettling = true;
    for (const ticket of this.#unsettled.gather()) {
      if (this.#isClosed || !(await this.#tell(ticket))) break;
    }
    this.#isSettling = false;
    this.#retry = undefined;
    this.#retryMs = this.#unsettled.isEmpty
      ? firstRetryMs
      : Math.min(this.#retryMs * 2 || firstRetryMs, longestRetryMs);
    if (!this.#unsettled.isEmpty) this.#retryLater();
  }

  /** What comes of it within one store deadline, or `otherwise`. It goes on all the same. */
  async #inTime<T>(work: Promise<T>, otherwise: T): Promise<T> {
    const { clock, storeTimeoutMs } = this.#options;
    const { promise, resolve } = Promise.withResolvers<T>();
    const timer = clock.schedule(storeTimeoutMs, () => resolve(otherwise));
    void work.then(resolve);
    try {
      return await promise;
    } finally {
      timer.cancel();
    }
  }
}

function keysOf(writes: readonly Write[]): string[] {
  return writes.map(({ key }) => key);
}

/** Whether it is new by itself, rather than computed. */
function isSet({ fence }: Write): boolean {
  return fence === undefined;
}

/** Whether the store itself refuses them if something that rules them was invalidated meanwhile. */
function isFenced(writes: readonly Write[]): boolean {
  return !writes.some(isSet);
}

/** What a store of somebody else's answers with need not be what it should. */
function isWhole({ bytes, tags, storedAt, freshUntil, keptUntil, computeMs }: StoredEntry): boolean {
  if (!(bytes instanceof Uint8Array) || !Array.isArray(tags)) return false;
  if (!tags.every((tag) => typeof tag === 'string')) return false;
  return [storedAt, freshUntil, keptUntil, computeMs].every(Number.isFinite);
}
