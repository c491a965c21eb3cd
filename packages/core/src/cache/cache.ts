import {
  abortReason,
  badOption,
  canonicalKey,
  currentContext,
  type Duration,
  deadlineError,
  digestKey,
  durationMs,
  type LinkedAbort,
  linkAbort,
  remainingMs,
  rule,
  runShared,
  untilAborted,
  WarmpathError,
} from '../kernel/index.js';
import type { Cache, CacheCall, CachedStream, CacheResult, Computation, StreamCall } from './contract.js';
import { Flight, type Voided } from './flight.js';
import { isolated, keepable } from './isolation.js';
import { type CacheOptions, type ResolvedCacheOptions, resolveOptions } from './options.js';
import { SharedStream } from './shared-stream.js';
import { Tiers } from './tiers.js';

/** @throws WarmpathError `WP_BAD_OPTION` */
export function createCache(options: CacheOptions): Cache {
  return new TieredCache(resolveOptions(options));
}

/** What one call comes down to: the entry it means, and how long that lives. */
interface Lookup {
  readonly id: string;
  /** Whose entry it is: the computation runs for nobody else, so that nothing of a caller's own gets into what others see. */
  readonly tenant: string | undefined;
  readonly ttlMs: number;
}

type Source = { readonly level: 'store' | 'computed'; readonly ageMs: number };

/** What the caller who began a flight gets, and what everybody else gets a copy of. */
type Landed = Source & { readonly own: unknown; readonly kept: unknown };

interface OpenStream {
  readonly stream: SharedStream<unknown>;
  /** Settles when it is known whether the store has the stream. */
  readonly opened: Promise<Source>;
}

/**
 * Memory, then the store, then a computation that all callers share. A deletion unlinks what is under way for its key and
 * marks it void: its callers get their answer, newcomers begin anew, and nothing begun before the deletion is kept.
 */
class TieredCache implements Cache {
  readonly name: string;
  readonly #options: ResolvedCacheOptions;
  readonly #tiers: Tiers;
  readonly #flights = new Map<string, Flight<Landed>>();
  readonly #streams = new Map<string, OpenStream>();

  constructor(options: ResolvedCacheOptions) {
    this.name = options.name;
    this.#options = options;
    this.#tiers = new Tiers(options);
  }

  async getOrSet<V>(key: unknown, compute: (c: Computation) => V | Promise<V>, call?: CacheCall): Promise<V> {
    return (await this.resolve(key, compute, call)).value;
  }

  async resolve<V>(
    key: unknown,
    compute: (c: Computation) => V | Promise<V>,
    call: CacheCall = {},
  ): Promise<CacheResult<V>> {
    if (typeof compute !== 'function') throw badOption(`Cache '${this.name}'`, 'compute', 'a function', compute);
    const lookup = this.#lookup('value', key, call);
    const hit = this.#tiers.peek(lookup.id);
    if (hit) return { value: isolated(hit.value) as V, level: 'memory', ageMs: this.#tiers.age(hit) };

    const caller = this.#caller(call);
    try {
      const joined = this.#flights.get(lookup.id);
      if (!joined) {
        const { own, level, ageMs } = await this.#launch(lookup, compute).join(caller?.signal);
        return { value: own as V, level, ageMs };
      }
      const { kept } = await joined.join(caller?.signal);
      this.#tiers.hit(lookup.id, 'shared', 0, 0);
      return { value: (keepable(kept)?.copy ?? kept) as V, level: 'shared', ageMs: 0 };
    } finally {
      caller?.release();
    }
  }

  #launch(lookup: Lookup, compute: (c: Computation) => unknown): Flight<Landed> {
    const flight: Flight<Landed> = new Flight(
      (signal, isVoid) => this.#load(lookup, compute, signal, isVoid),
      () => {
        if (this.#flights.get(lookup.id) === flight) this.#flights.delete(lookup.id);
      },
    );
    this.#flights.set(lookup.id, flight);
    return flight;
  }

  peek<V>(key: unknown, call: CacheCall = {}): V | undefined {
    const hit = this.#tiers.peek(this.#lookup('value', key, call).id);
    return hit && (isolated(hit.value) as V);
  }

  async stream<C>(
    key: unknown,
    produce: (c: Computation) => AsyncIterable<C>,
    call: StreamCall<C> = {},
  ): Promise<CachedStream<C>> {
    const lookup = this.#lookup('stream', key, call);
    const hit = this.#tiers.peek(lookup.id);
    if (hit) {
      const chunks = replay(hit.value as readonly C[], [call.signal, currentContext()?.signal]);
      return { level: 'memory', ageMs: this.#tiers.age(hit), chunks };
    }
    const caller = this.#caller(call);
    const joined = this.#streams.get(lookup.id);
    const { stream, opened } = joined ?? this.#open(lookup, produce, call.isComplete);
    const chunks = stream.read(caller?.signal, caller?.release);
    const source = await untilAborted(opened, caller?.signal);
    if (joined) this.#tiers.hit(lookup.id, 'shared', 0, 0);
    return { ...(joined ? { level: 'shared', ageMs: 0 } : source), chunks: chunks as AsyncIterable<C> };
  }

  async delete(key: unknown, call: CacheCall = {}): Promise<void> {
    const ids = (['value', 'stream'] as const).map((kind) => this.#lookup(kind, key, call).id);
    for (const id of ids) {
      const flight = this.#flights.get(id) ?? this.#streams.get(id)?.stream;
      if (flight) flight.voided = 'invalidated';
      this.#flights.delete(id);
      this.#streams.delete(id);
    }
    await Promise.all(ids.map((id) => this.#tiers.delete(id)));
  }

  async close(): Promise<void> {
    await this.#tiers.settled();
  }

  #lookup(kind: 'value' | 'stream', key: unknown, call: CacheCall): Lookup {
    const { name, scope, ttlMs } = this.#options;
    const tenant = scope === 'shared' ? undefined : (call.tenant ?? currentContext()?.tenant);
    if (tenant !== undefined && typeof tenant !== 'string')
      throw badOption(`Cache '${name}'`, 'tenant', 'a string', tenant);
    if (scope === 'tenant' && !tenant) throw tenantRequired(name);
    return {
      tenant,
      id: `${name}:${digestKey([kind, tenant, canonicalKey(key)])}`,
      ttlMs: call.ttl === undefined ? ttlMs : callTtlMs(name, call.ttl),
    };
  }

  /**
   * What ends this caller's waiting: its own signal, its context's, its deadline; undefined when nothing does. It listens
   * to signals that may outlive the call by far, so it is released when the waiting is over.
   * @throws the reason, when the caller has left already or is out of time
   */
  #caller(call: CacheCall): LinkedAbort | undefined {
    const { name, clock } = this.#options;
    const parents = [call.signal, currentContext()?.signal];
    for (const parent of parents) if (parent?.aborted) throw abortReason(parent);
    const timeoutMs = remainingMs(clock);
    const what = `Cache '${name}'`;
    if (timeoutMs === 0) throw deadlineError(what, 0);
    if (timeoutMs === Number.POSITIVE_INFINITY && !parents.some(Boolean)) return undefined;
    return linkAbort({ parents, timeoutMs, clock, what });
  }

  async #load(
    lookup: Lookup,
    compute: (c: Computation) => unknown,
    signal: AbortSignal,
    isVoid: () => Voided | undefined,
  ): Promise<Landed> {
    const stored = await this.#tiers.fetch(lookup.id, isVoid);
    if (stored)
      return { own: isolated(stored.value), kept: stored.value, level: 'store', ageMs: this.#tiers.age(stored) };

    signal.throwIfAborted(); // everybody left while the store was asked
    const began = this.#tiers.miss(lookup.id);
    try {
      const computed = await runShared(signal, lookup.tenant, () => compute({ signal }));
      const kept = this.#tiers.keep(lookup.id, lookup.ttlMs, computed, began, isVoid());
      // What a hit will give later: data that does not survive being kept shows at the first call, not at the second.
      return { own: keepable(kept)?.copy ?? kept, kept, level: 'computed', ageMs: 0 };
    } catch (error) {
      if (signal.aborted) this.#tiers.unstored(lookup.id, 'abandoned');
      else this.#tiers.failed(lookup.id, began, error);
      throw error;
    }
  }

  #open<C>(
    lookup: Lookup,
    produce: (c: Computation) => AsyncIterable<C>,
    isComplete: (chunks: readonly C[]) => boolean = () => true,
  ): OpenStream {
    const { id } = lookup;
    const controller = new AbortController();
    const stored = this.#tiers.fetch(id, () => stream.voided);
    let began: number | undefined;
    const load = async function* (cache: TieredCache): AsyncGenerator<C> {
      const entry = await stored;
      if (entry) return yield* entry.value as readonly C[];
      began = cache.#tiers.miss(id);
      yield* produce({ signal: controller.signal });
    };
    const unlink = (): void => {
      if (this.#streams.get(id) === opening) this.#streams.delete(id);
    };
    const stream = runShared(
      controller.signal,
      lookup.tenant,
      () =>
        new SharedStream<C>(
          load(this),
          {
            onEnd: (chunks) => {
              unlink();
              if (began === undefined) return; // it came from the store
              try {
                if (isComplete(chunks)) this.#tiers.keep(id, lookup.ttlMs, chunks, began, stream.voided);
                else this.#tiers.unstored(id, 'incomplete');
              } catch (error) {
                this.#tiers.failed(id, began, error); // isComplete itself failed: the readers have their stream
              }
            },
            onFail: (error) => {
              unlink();
              this.#tiers.failed(id, began ?? this.#options.clock.now(), error);
            },
            onAbandoned: () => {
              unlink();
              if (began !== undefined) this.#tiers.unstored(id, 'abandoned');
            },
            abort: (reason) => controller.abort(reason),
          },
          this.#options.clock,
        ),
    );
    const opened = stored.then((entry): Source => {
      return entry ? { level: 'store', ageMs: this.#tiers.age(entry) } : { level: 'computed', ageMs: 0 };
    });
    const opening = { stream: stream as SharedStream<unknown>, opened };
    this.#streams.set(id, opening);
    return opening;
  }
}

function callTtlMs(name: string, ttl: Duration): number {
  if (!rule.duration.allows(ttl)) throw badOption(`Cache '${name}'`, 'ttl', rule.duration.text, ttl);
  return durationMs(ttl);
}

async function* replay<C>(chunks: readonly C[], signals: readonly (AbortSignal | undefined)[]): AsyncGenerator<C> {
  for (const chunk of chunks) {
    for (const signal of signals) if (signal?.aborted) throw abortReason(signal);
    yield isolated(chunk);
  }
}

function tenantRequired(cache: string): WarmpathError {
  return new WarmpathError(
    'WP_TENANT_REQUIRED',
    `Cache '${cache}' keeps tenants apart (scope: 'tenant') and was called without one. ` +
      "Pass { tenant } with the call, give the request's context a tenant, or choose scope: 'shared'.",
    { details: { cache } },
  );
}
