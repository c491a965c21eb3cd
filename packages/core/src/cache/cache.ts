import { badOption, untilAborted } from '../kernel/index.js';
import { callerOf, untilLeft } from './caller.js';
import type {
  Cache,
  CacheCall,
  CachedStream,
  CacheResult,
  CollectCall,
  Computation,
  Invalidated,
  ReadCall,
  StreamCall,
  TenantCall,
  WrapOptions,
  Wrapped,
  WriteCall,
} from './contract.js';
import { isRefreshedEarly, lifetimeOf, ttlMsOf } from './freshness.js';
import { checkedTags } from './loading/directives.js';
import type { Landed } from './loading/flight.js';
import { type Arrival, Loader } from './loading/loader.js';
import { type ComputeMany, keepingOf, type Order, orderOfMany, type Wanted } from './loading/order.js';
import type { MemoryEntry } from './memory/memory-tier.js';
import { type CacheOptions, type ResolvedCacheOptions, resolveOptions } from './options.js';
import { type Place, placeOf, streamTextOf, tenantOf, textOf } from './place.js';
import { Reports } from './reports.js';
import { type Produce, streamOrderOf } from './streams/stream-order.js';
import { Streams } from './streams/streams.js';
import { type Found, servedValue, Tiers } from './tiers.js';
import { wrapFunction } from './wrap.js';

/** @throws WarmpathError `WP_BAD_OPTION` */
export function createCache(options: CacheOptions): Cache {
  return new TieredCache(resolveOptions(options));
}

type Compute<V> = (computation: Computation) => V | Promise<V>;

interface AtHand {
  readonly answer: Landed;
  /** Whether it should be computed anew in the background. */
  readonly isDue: boolean;
}

const noCall: CacheCall = {};

/**
 * Memory, then the store, then a computation that all callers share. What is invalidated is void wherever it is: in memory,
 * in the store, and under way.
 */
class TieredCache implements Cache {
  readonly name: string;
  readonly #options: ResolvedCacheOptions;
  readonly #reports: Reports;
  readonly #tiers: Tiers;
  readonly #loader: Loader;
  readonly #streams: Streams;

  constructor(options: ResolvedCacheOptions) {
    this.name = options.name;
    this.#options = options;
    this.#reports = new Reports(options);
    this.#tiers = new Tiers(options, this.#reports);
    this.#loader = new Loader(options, this.#tiers, this.#reports);
    this.#streams = new Streams(options, this.#tiers, this.#reports);
  }

  getOrSet<V>(key: unknown, compute: Compute<V>, call: CacheCall = noCall): Promise<V> {
    try {
      const tenant = tenantOf(this.#options, call);
      const text = textOf(key);
      const entry = this.#tiers.hit(tenant, text);
      if (entry !== undefined && this.#options.earlyRefresh === 0) {
        if (this.#reports.isHeard) this.#reportHit(placeOf(tenant, text), entry);
        return Promise.resolve((entry.isShareable ? entry.value : servedValue(entry)) as V);
      }
      return this.#resolve<V>(placeOf(tenant, text), entry, compute, call).then(({ value }) => value);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  resolve<V>(key: unknown, compute: Compute<V>, call: CacheCall = noCall): Promise<CacheResult<V>> {
    try {
      const place = this.#placeOf(key, call);
      const entry = this.#tiers.hit(place.tenant, place.text);
      if (entry !== undefined && this.#options.earlyRefresh === 0) {
        return Promise.resolve(this.#served<V>(place, { entry, level: 'memory', stale: false }));
      }
      return this.#resolve(place, entry, compute, call);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  peek<V>(key: unknown, call: TenantCall = noCall): V | undefined {
    const tenant = tenantOf(this.#options, call);
    const text = textOf(key);
    const entry = this.#tiers.hit(tenant, text);
    if (entry === undefined) {
      if (!this.#isQuiet) this.#reports.audit('read', placeOf(tenant, text), 'none');
      return undefined;
    }
    if (this.#reports.isHeard) this.#reportHit(placeOf(tenant, text), entry);
    return (entry.isShareable ? entry.value : servedValue(entry)) as V;
  }

  async get<V>(key: unknown, call: ReadCall = noCall): Promise<CacheResult<V> | undefined> {
    const [result] = await this.getMany<V>([key], call);
    return result;
  }

  async getMany<V>(keys: readonly unknown[], call: ReadCall = noCall): Promise<(CacheResult<V> | undefined)[]> {
    const places = keys.map((key) => this.#placeOf(key, call));
    const results = places.map((place) => {
      const entry = this.#tiers.hit(place.tenant, place.text);
      return entry && this.#served<V>(place, { entry, level: 'memory', stale: false });
    });
    const missing = [...places.entries()].filter(([position]) => results[position] === undefined);
    const found = await this.#stored(
      missing.map(([, place]) => place),
      call,
    );
    const now = this.#options.clock.now();
    for (const [index, [position, place]] of missing.entries()) {
      const entry = found?.entries[index];
      if (found && entry && now < entry.freshUntil) {
        results[position] = this.#served(place, { entry, level: found.level, stale: false });
        continue;
      }
      const known = found ? this.#tiers.hit(place.tenant, place.text) : undefined; // set meanwhile
      if (known) results[position] = this.#served(place, { entry: known, level: 'memory', stale: false });
      else {
        this.#reports.miss(place);
        this.#reports.audit('read', place, 'none');
      }
    }
    return results;
  }

  async getOrSetMany<K, V>(
    keys: readonly K[],
    compute: (
      missing: readonly K[],
      computation: Computation,
    ) => readonly (V | Error)[] | Promise<readonly (V | Error)[]>,
    call: CacheCall = noCall,
  ): Promise<V[]> {
    checkFunction(this.name, 'compute', compute);
    const tenant = tenantOf(this.#options, call);
    const places = keys.map((key) => placeOf(tenant, textOf(key)));
    const wanted = new Map(places.map((place, position) => [place.text, { place, key: keys[position] as K }]));
    const answers = new Map<string, Landed>();
    const due: Wanted<K>[] = [];
    for (const each of wanted.values()) {
      const atHand = this.#atHand(each.place, this.#tiers.hit(tenant, each.place.text));
      if (!atHand) continue;
      answers.set(each.place.text, atHand.answer);
      if (atHand.isDue) due.push(each);
    }
    if (due.length > 0) this.#loader.refresh(orderOfMany(this.name, due, compute, call));
    const missing = [...wanted.values()].filter(({ place }) => !answers.has(place.text));
    if (missing.length > 0) {
      const arrivals = await this.#load(orderOfMany(this.name, missing, compute, call), call);
      for (const [index, { place }] of missing.entries()) answers.set(place.text, arrivals[index] as Arrival);
    }
    return places.map((place) => this.#served<V>(place, answers.get(place.text) as Landed).value);
  }

  async set(key: unknown, value: unknown, call: WriteCall = noCall): Promise<void> {
    return this.setMany([[key, value]], call);
  }

  async setMany(entries: Iterable<readonly [key: unknown, value: unknown]>, call: WriteCall = noCall): Promise<void> {
    const { ttlMs, tags } = keepingOf(this.name, call);
    const tenant = tenantOf(this.#options, call);
    const last = new Map(Array.from(entries, ([key, value]) => [textOf(key), value]));
    const values = Array.from(last, ([text, value]) => ({
      place: placeOf(tenant, text),
      value,
      lifetime: lifetimeOf(this.#options, ttlMs ?? ttlMsOf(value, this.#options), tags, 0),
    }));
    for (const { place } of values) this.#loader.void(place);
    await this.#tiers.replace(values);
  }

  async stream<C>(key: unknown, produce: Produce<C>, call: StreamCall<C> = noCall): Promise<CachedStream<C>> {
    const order = streamOrderOf(this.name, produce, call);
    const place = placeOf(tenantOf(this.#options, call), streamTextOf(key));
    const kept = this.#streams.kept(place, order, call);
    if (kept) return kept;
    return this.#audited([place], async () => this.#streams.join(place, order, callerOf(this.#options, call)));
  }

  async collect<C, V>(
    key: unknown,
    produce: Produce<C>,
    toWhole: (chunks: readonly C[]) => V,
    call: CollectCall<C> = noCall,
  ): Promise<CacheResult<V>> {
    checkFunction(this.name, 'produce', produce);
    checkFunction(this.name, 'toWhole', toWhole);
    const stream = await this.stream(key, produce, call);
    const chunks = await this.#streams.all(stream);
    return { value: toWhole(chunks), level: stream.level, ageMs: stream.ageMs, stale: false };
  }

  delete(key: unknown, call: TenantCall = noCall): Promise<Invalidated> {
    return this.#forget(key, call, (places) => this.#tiers.delete(places));
  }

  expire(key: unknown, call: TenantCall = noCall): Promise<Invalidated> {
    // With no grace there is nothing to keep it for.
    if (this.#options.graceMs === 0) return this.delete(key, call);
    return this.#forget(key, call, (places) => this.#tiers.expire(places));
  }

  async invalidateTags(tags: readonly string[]): Promise<Invalidated> {
    return { deferred: await this.#tiers.invalidateTags(checkedTags(this.name, tags)) };
  }

  async clear(): Promise<Invalidated> {
    return { deferred: await this.#tiers.clear() };
  }

  wrap<Args extends readonly unknown[], V>(
    fn: (...args: Args) => V | Promise<V>,
    options?: WrapOptions<Args>,
  ): Wrapped<Args, V> {
    return wrapFunction(this, fn, options);
  }

  async close(): Promise<void> {
    this.#loader.close();
    this.#streams.close();
    await this.#tiers.close();
  }

  /** Whether a fresh hit needs nothing but to be handed out. */
  get #isQuiet(): boolean {
    return this.#options.earlyRefresh === 0 && !this.#reports.isHeard;
  }

  async #resolve<V>(
    place: Place,
    hit: MemoryEntry | undefined,
    compute: Compute<V>,
    call: CacheCall,
  ): Promise<CacheResult<V>> {
    checkFunction(this.name, 'compute', compute);
    const atHand = this.#atHand(place, hit);
    if (atHand && !atHand.isDue) return this.#served(place, atHand.answer);
    const computeOne: ComputeMany = async (_, computation) => [await compute(computation)];
    const order = { places: [place], compute: computeOne, failsByPlace: false, ...keepingOf(this.name, call) };
    if (atHand) {
      this.#loader.refresh(order);
      return this.#served(place, atHand.answer);
    }
    const load = (signal: AbortSignal | undefined) => this.#loader.loadOne(order, place, signal);
    return this.#served(place, await this.#untilLeft(order.places, call, load));
  }

  /** What memory can answer with: a fresh value, or a stale one where one is good enough. */
  #atHand(place: Place, hit: MemoryEntry | undefined): AtHand | undefined {
    const { earlyRefresh, random, clock, staleWhileRevalidateMs } = this.#options;
    const now = clock.now();
    if (hit) {
      const isEarly = earlyRefresh > 0 && isRefreshedEarly(now, hit, earlyRefresh, random);
      const isDue = isEarly && !this.#loader.isPaused(hit);
      return { answer: { entry: hit, level: 'memory', stale: false }, isDue };
    }
    const entry = this.#tiers.kept(place);
    if (!entry) return undefined;
    const isPaused = this.#loader.isPaused(entry);
    if (!isPaused && now >= entry.freshUntil + staleWhileRevalidateMs) return undefined;
    return { answer: { entry, level: 'memory', stale: isPaused ? 'failed' : 'revalidating' }, isDue: !isPaused };
  }

  #reportHit(place: Place, entry: MemoryEntry): void {
    this.#reports.hit(place, 'memory', Math.max(0, this.#tiers.now() - entry.storedAt), entry.computeMs, false);
    this.#reports.audit('read', place, 'memory');
  }

  /** What the caller gets, and what is said of it. */
  #served<V>(place: Place, answer: Landed & { readonly isShared?: boolean }): CacheResult<V> {
    const { entry, stale } = answer;
    const level = answer.isShared ? 'shared' : answer.level;
    const ageMs = Math.max(0, this.#tiers.now() - entry.storedAt);
    if (level !== 'computed') this.#reports.hit(place, level, ageMs, answer.isShared ? 0 : entry.computeMs, stale);
    this.#reports.audit('read', place, level);
    return { value: servedValue(entry) as V, level, ageMs, stale };
  }

  #placeOf(key: unknown, call: TenantCall): Place {
    return placeOf(tenantOf(this.#options, call), textOf(key));
  }

  async #forget(
    key: unknown,
    call: TenantCall,
    forget: (places: readonly Place[]) => Promise<boolean>,
  ): Promise<Invalidated> {
    const tenant = tenantOf(this.#options, call);
    const place = placeOf(tenant, textOf(key));
    const places = [place, placeOf(tenant, streamTextOf(key))];
    for (const each of places) {
      this.#loader.void(each);
      this.#streams.void(each);
    }
    const deferred = await forget(places);
    this.#reports.audit('invalidate', place, deferred ? 'deferred' : 'done');
    return { deferred };
  }

  #load(order: Order, call: ReadCall): Promise<Arrival[]> {
    return this.#untilLeft(order.places, call, (signal) => this.#loader.load(order, signal));
  }

  #untilLeft<T>(
    places: readonly Place[],
    call: ReadCall,
    work: (signal: AbortSignal | undefined) => Promise<T>,
  ): Promise<T> {
    return this.#audited(places, () => untilLeft(this.#options, call, work));
  }

  /** Undefined when there is nothing to ask. */
  async #stored(places: readonly Place[], call: ReadCall): Promise<Found | undefined> {
    if (places.length === 0 || !this.#tiers.hasStore) return undefined;
    const reading = (signal: AbortSignal | undefined) => untilAborted(this.#tiers.read(places, []), signal);
    return this.#untilLeft(places, call, reading);
  }

  /** A read that ends without an answer is one, too. */
  #audited<T>(places: readonly Place[], read: () => Promise<T>): Promise<T> {
    return this.#options.audit ? this.#reportingFailure(places, read) : read();
  }

  async #reportingFailure<T>(places: readonly Place[], read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      for (const place of places) this.#reports.audit('read', place, 'failed');
      throw error;
    }
  }
}

function checkFunction(cache: string, name: string, value: unknown): void {
  if (typeof value !== 'function') throw badOption(`Cache '${cache}'`, name, 'a function', value);
}
