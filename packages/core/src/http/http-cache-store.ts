import { randomUUID } from 'node:crypto';
import { Writable } from 'node:stream';
import { type Dispatcher, interceptors } from 'undici';
import {
  ambientRules,
  type ByteSize,
  byteSizeOf,
  type Clock,
  checkOptions,
  currentContext,
  type Duration,
  digestText,
  durationMs,
  type Rules,
  rule,
  systemClock,
} from '../kernel/index.js';
import { type ResponseStore, ResponseStoreCalls, type StoredResponse } from './http-cache-store-calls.js';
import {
  decodeEntry,
  encodeEntry,
  type FoundResponse,
  type KeptEntry,
  type KeptResponse,
  type RequestKey,
  type ResponseCache,
  type ResponseHead,
  type Variants,
} from './http-cache-store-entry.js';
import { RefreshedResponse } from './http-cache-store-refresh.js';

export type { ResponseStore } from './http-cache-store-calls.js';

export interface HttpCacheOptions {
  /** Any store of `@warmpath/core/cache`, `/sqlite` or `/redis`. What caches keep in it is apart from what is kept here. */
  readonly store: ResponseStore;
  /** The largest body that is kept. Default `'5MB'`. */
  readonly maxBytes?: ByteSize;
  /** How long a call to the store may take before the service is asked instead. Default 50 ms. */
  readonly storeTimeout?: Duration;
  readonly clock?: Clock;
}

export const httpCacheRules: Rules<HttpCacheOptions> = {
  store: rule.withMethods('a cache store', 'getMany', 'setMany', 'invalidate'),
  maxBytes: rule.byteSize,
  storeTimeout: rule.positiveDuration,
  clock: ambientRules.clock,
};

export interface HttpCacheStats {
  /** Requests for which the store had a response, fresh or to be confirmed by the service. */
  readonly found: number;
  /** Requests for which it had none. */
  readonly missed: number;
  /** Responses that were stored. */
  readonly kept: number;
  /** Calls to the store that failed or were late. */
  readonly storeFailed: number;
}

/** An interceptor for `compose`, the outermost of a pool. */
export interface HttpCacheInterceptor extends Dispatcher.DispatcherComposeInterceptor {
  stats(): HttpCacheStats;
  /** When what is to be stored and forgotten has been: after one deadline of the store at the latest. */
  settled(): Promise<void>;
}

/**
 * Keeps responses to GET in a store, as their HTTP headers allow (RFC 9111, as a shared cache; undici decides it): fresh ones are served
 * without asking, stale ones confirmed by ETag or date, or served while that happens (`stale-while-revalidate`). What varies is kept
 * apart by what it varies on; a successful unsafe request forgets its URL; responses to requests with credentials are
 * kept only where they say so (`public`, `s-maxage`, `must-revalidate`), and nothing that is `private` or sets a cookie. Each
 * tenant of the CallContext has its own: one never sees another's. A store that is slow, fails or gives back broken bytes is a
 * miss and never an error; URLs that it could not forget are not taken from it by this process until it has.
 * Costs a digest and a call to the store for each GET, two where the response varies.
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function httpCacheInterceptor(options: HttpCacheOptions): HttpCacheInterceptor {
  checkOptions('httpCacheInterceptor()', options, httpCacheRules);
  const { store, maxBytes = '5MB', storeTimeout = '50ms', clock = systemClock } = options;
  const calls = new ResponseStoreCalls(store, durationMs(storeTimeout), clock);
  const shelf = new Shelf(calls, byteSizeOf(maxBytes), clock);
  const intercept = (dispatch: Dispatcher.Dispatch): Dispatcher.Dispatch =>
    function dispatchCached(opts, handler) {
      const view = new TenantView(shelf, currentContext()?.tenant);
      const cached = interceptors.cache({ store: view });
      return cached((asked, inner) => dispatch(asked, view.refreshing(asked, inner)))(opts, handler);
    };
  return Object.assign(intercept, {
    stats: () => ({ ...shelf.counts, storeFailed: calls.failed }),
    settled: () => calls.settled(),
  });
}

const namespace = 'http-responses';

/** URLs that wait to be forgotten, at most; beyond, everything is. */
const mostUnsettled = 1_000;

/** What all requests share. */
class Shelf {
  readonly calls: ResponseStoreCalls;
  readonly maxBytes: number;
  readonly clock: Clock;
  readonly counts = { found: 0, missed: 0, kept: 0 };
  /** Tags whose invalidation the store has not confirmed; `'all'` when they are too many to be told apart. */
  #unsettled: Set<string> | 'all' = new Set();
  #settling: Promise<void> | undefined;

  constructor(calls: ResponseStoreCalls, maxBytes: number, clock: Clock) {
    this.calls = calls;
    this.maxBytes = maxBytes;
    this.clock = clock;
  }

  /** Holds for every `read` from now on. undici asks for the same several times in a row, which is one call. */
  forget(tag: string): void {
    if (this.#unsettled === 'all') return;
    this.#unsettled.add(tag);
    if (this.#unsettled.size > mostUnsettled) this.#unsettled = 'all';
    this.calls.write(() => Promise.resolve().then(() => this.#settle()));
  }

  #settle(): Promise<void> {
    this.#settling ??= this.#invalidate().finally(() => {
      this.#settling = undefined;
    });
    return this.#settling;
  }

  async #invalidate(): Promise<void> {
    const unsettled = this.#unsettled;
    if (unsettled !== 'all' && unsettled.size === 0) return;
    const tags = unsettled === 'all' ? [] : [...unsettled];
    const invalidation = unsettled === 'all' ? ({ type: 'clear' } as const) : ({ type: 'tags', tags } as const);
    const done = await this.calls.attempt(async (store, signal) => {
      await store.invalidate({ namespace, invalidation, signal });
      return true;
    });
    if (!done) return;
    if (this.#unsettled === 'all') this.#unsettled = unsettled === 'all' ? new Set() : 'all';
    else for (const tag of tags) this.#unsettled.delete(tag);
  }

  /** Undefined when the store has not answered, or has something that it has not forgotten yet. */
  async read(key: string, tags: readonly string[]): Promise<Read | undefined> {
    if (this.#covers(tags)) await this.#settle();
    if (this.#covers(tags)) return undefined;
    const answer = await this.calls.attempt(async (store, signal) => {
      const { entries, fence } = await store.getMany({ namespace, keys: [key], tags, signal });
      const [entry] = entries;
      if (typeof entry === 'object') return { stored: entry, fence };
      const request = { namespace, keys: [key], fence, token: randomUUID(), signal };
      return { stored: undefined, fence: store.leasing ? (await store.leasing.acquire(request)).fence : fence };
    });
    return this.#covers(tags) ? undefined : answer;
  }

  #covers(tags: readonly string[]): boolean {
    const unsettled = this.#unsettled;
    return unsettled === 'all' || tags.some((tag) => unsettled.has(tag));
  }

  keep(entries: readonly { readonly key: string; readonly entry: StoredResponse; readonly fence: unknown }[]): void {
    this.calls.write(async () => {
      const [isKept] =
        (await this.calls.attempt((store, signal) => store.setMany({ namespace, entries, signal }))) ?? [];
      if (isKept) this.counts.kept++;
    });
  }
}

interface Read {
  readonly stored: StoredResponse | undefined;
  /** To store with what is asked for now: it is refused if it was invalidated meanwhile. */
  readonly fence: unknown;
}

/** The store as one request sees it: as its tenant, and with what the store knew when it began. */
class TenantView implements ResponseCache {
  readonly #shelf: Shelf;
  readonly #tenant: string | undefined;
  /** Of the first read. */
  #seen: { readonly fence: unknown; readonly keptUntil: number; readonly variants: Variants | undefined } | undefined;
  #uri: string | undefined;
  #kept: KeptResponse | undefined;

  constructor(shelf: Shelf, tenant: string | undefined) {
    this.#shelf = shelf;
    this.#tenant = tenant;
  }

  async get(key: RequestKey): Promise<FoundResponse | undefined> {
    this.#uri = uriOf(key);
    const found = await this.#find(key);
    this.#kept = found?.response;
    if (!found) {
      this.#shelf.counts.missed++;
      return undefined;
    }
    this.#shelf.counts.found++;
    const { body, cacheControlDirectives = {}, ...described } = found.response;
    return { ...described, cacheControlDirectives, vary: varyOf(key, found.on), body: [body] };
  }

  async #find(key: RequestKey): Promise<{ response: KeptResponse; on: readonly string[] } | undefined> {
    const read = await this.#shelf.read(this.#place(key), this.#tags(key));
    if (!read) return undefined;
    const entry = read.stored && decodeEntry(read.stored.bytes);
    const variants = entry?.variants;
    this.#seen ??= { fence: read.fence, keptUntil: read.stored?.keptUntil ?? 0, variants };
    if (!variants) return this.#unlessOver(entry?.response, []);
    const variant = await this.#shelf.read(this.#variantPlace(key, variants), this.#tags(key));
    return this.#unlessOver(variant?.stored && decodeEntry(variant.stored.bytes)?.response, variants.on);
  }

  #unlessOver(response: KeptResponse | undefined, on: readonly string[]) {
    return response && response.deleteAt > this.#shelf.clock.wall() ? { response, on } : undefined;
  }

  createWriteStream(key: RequestKey, value: ResponseHead): Writable | undefined {
    const seen = this.#seen;
    if (!seen) return undefined; // the store has not answered
    const { maxBytes } = this.#shelf;
    const chunks: Buffer[] = [];
    let size = 0;
    return new Writable({
      highWaterMark: maxBytes + 1, // nothing here has to be waited for
      write(chunk: Buffer, _encoding, done) {
        size += chunk.length;
        if (size > maxBytes) this.destroy();
        else chunks.push(chunk);
        done();
      },
      final: (done) => {
        this.#keep(key, value, Buffer.concat(chunks, size), seen);
        done();
      },
    });
  }

  /**
   * A variant is stored whatever was invalidated meanwhile: what leads to it is not, so nobody finds it then.
   */
  #keep(key: RequestKey, value: ResponseHead, body: Buffer, seen: NonNullable<typeof this.#seen>): void {
    const { vary, ...described } = value;
    const response = { ...described, body };
    const on = Object.keys(vary ?? {}).sort();
    const { cachedAt: storedAt, deleteAt } = value;
    const stored = (entry: KeptEntry, keptUntil: number, tags: readonly string[]): StoredResponse => {
      const freshUntil = Math.min(value.staleAt, keptUntil);
      return { bytes: encodeEntry(entry), storedAt, freshUntil, keptUntil, computeMs: 0, tags };
    };
    const { fence } = seen;
    const [place, tags] = [this.#place(key), this.#tags(key)];
    if (on.length === 0) {
      this.#shelf.keep([{ key: place, entry: stored({ response, variants: undefined }, deleteAt, tags), fence }]);
      return;
    }
    const isKnown = seen.variants?.on.join() === on.join();
    const variants = isKnown && seen.variants ? seen.variants : { on, under: randomUUID() };
    const lead = stored({ response: undefined, variants }, Math.max(seen.keptUntil, deleteAt), tags);
    const variant = stored({ response, variants: undefined }, deleteAt, []);
    this.#shelf.keep([
      { key: this.#variantPlace(key, variants), entry: variant, fence: undefined },
      { key: place, entry: lead, fence },
    ]);
  }

  /** undici means the response that it has read, or, after an unsafe request, whatever anybody has of a URL. */
  delete(key: RequestKey): void {
    const uri = uriOf(key);
    this.#shelf.forget(uri === this.#uri ? this.#ownTag(uri) : uri);
  }

  /** Has a stale response that the service confirms kept as a new one. */
  refreshing(asked: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): Dispatcher.DispatchHandler {
    const kept = this.#kept;
    const headers = asked.headers as Readonly<Record<string, unknown>> | null | undefined;
    const isRevalidation = headers?.['if-modified-since'] !== undefined && headers['if-none-match'] === kept?.etag;
    return kept && isRevalidation ? new RefreshedResponse(handler, kept) : handler;
  }

  #tags(key: RequestKey): readonly string[] {
    const uri = uriOf(key);
    return [uri, this.#ownTag(uri)];
  }

  #ownTag(uri: string): string {
    return digestText('own', uri, this.#tenant);
  }

  #place(key: RequestKey): string {
    return digestText(uriOf(key), key.method, this.#tenant);
  }

  #variantPlace(key: RequestKey, { on, under }: Variants): string {
    return digestText(this.#place(key), under, JSON.stringify(varyOf(key, on)));
  }
}

/** By a digest: URLs may hold what is nobody's business. */
function uriOf({ origin, path }: RequestKey): string {
  return digestText(origin, path);
}

function varyOf({ headers }: RequestKey, names: readonly string[]): Record<string, string | string[] | null> {
  return Object.fromEntries(names.map((name) => [name, headers?.[name] ?? null]));
}
