import { randomUUID } from 'node:crypto';
import { Writable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { digestText } from '../../kernel/index.js';
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
} from './entry.js';
import { RefreshedResponse } from './refreshed-response.js';
import type { Shelf } from './shelf.js';
import type { StoredResponse } from './store-calls.js';

/** What the store had when a request began. */
interface Seen {
  readonly fence: unknown;
  readonly keptUntil: number;
  readonly variants: Variants | undefined;
}

/** The store as one request sees it: as its tenant, and with what the store knew when it began. */
export class TenantView implements ResponseCache {
  readonly #shelf: Shelf;
  readonly #tenant: string | undefined;
  #seen: Seen | undefined;
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
    const read = await this.#shelf.read(this.#place(key), this.#tags(key), true);
    if (!read) return undefined;
    const entry = read.stored && decodeEntry(read.stored.bytes);
    const variants = entry?.variants;
    this.#seen ??= { fence: read.fence, keptUntil: read.stored?.keptUntil ?? 0, variants };
    if (!variants) return this.#unlessOver(entry?.response, []);
    const variant = await this.#shelf.read(this.#variantPlace(key, variants), this.#tags(key), false);
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

  /** A variant is stored whatever was invalidated meanwhile: what leads to it is not, so nobody finds it then. */
  #keep(key: RequestKey, value: ResponseHead, body: Buffer, seen: Seen): void {
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
