import { abortReason, type LinkedAbort, runShared, untilAborted } from '../../kernel/index.js';
import type { CachedStream, Computation } from '../contract.js';
import type { Entry } from '../entry.js';
import { lifetimeOf } from '../freshness.js';
import { copyOf } from '../isolation/isolation.js';
import type { ResolvedCacheOptions } from '../options.js';
import { type Place, placeText } from '../place.js';
import type { Reports } from '../reports.js';
import type { Beginning, Tiers } from '../tiers.js';
import { SharedStream, type StreamOwner, type Voided } from './shared-stream.js';

interface StreamOrder<C> {
  readonly ttlMs: number;
  readonly tags: readonly string[];
  readonly isComplete: ((chunks: readonly C[]) => boolean) | undefined;
}

interface OpenStream {
  readonly stream: SharedStream<unknown>;
  readonly tags: readonly string[];
  /** The sequence of invalidations when it began. */
  readonly began: number;
  /** Settles when it is known whether the store has the stream: its entry there. */
  readonly opened: Promise<Entry | undefined>;
}

/** Streams as values: shared while they run, from their first chunk on, and kept when they have ended by themselves. */
export class Streams {
  readonly #options: ResolvedCacheOptions;
  readonly #tiers: Tiers;
  readonly #reports: Reports;
  readonly #open = new Map<string, OpenStream>();

  constructor(options: ResolvedCacheOptions, tiers: Tiers, reports: Reports) {
    this.#options = options;
    this.#tiers = tiers;
    this.#reports = reports;
  }

  /** The whole of one that memory holds. */
  kept<C>(place: Place, signals: readonly (AbortSignal | undefined)[]): CachedStream<C> | undefined {
    const entry = this.#tiers.hit(place.tenant, place.text);
    if (!entry) return undefined;
    const ageMs = this.#ageOf(entry);
    this.#reports.hit(place, 'memory', ageMs, entry.computeMs, false);
    this.#reports.audit('read', place, 'memory');
    return { level: 'memory', ageMs, chunks: replay<C>(entry, signals) };
  }

  /** One that is under way, or a new one. */
  async join<C>(
    place: Place,
    produce: (computation: Pick<Computation, 'signal'>) => AsyncIterable<C>,
    order: StreamOrder<C>,
    caller: LinkedAbort | undefined,
  ): Promise<CachedStream<C>> {
    const joined = this.#joinable(place);
    const { stream, opened } = joined ?? this.#begin(place, produce, order);
    const chunks = stream.read(caller?.signal, caller?.release) as AsyncIterable<C>;
    const stored = await untilAborted(opened, caller?.signal);
    if (joined) this.#reports.hit(place, 'shared', 0, 0, false);
    else if (stored) this.#reports.hit(place, 'store', this.#ageOf(stored), stored.computeMs, false);
    const level = joined ? 'shared' : stored ? 'store' : 'computed';
    this.#reports.audit('read', place, level);
    return { level, ageMs: stored && !joined ? this.#ageOf(stored) : 0, chunks };
  }

  void(place: Place): void {
    const text = placeText(place.tenant, place.text);
    const open = this.#open.get(text);
    if (open) open.stream.voided = 'invalidated';
    this.#open.delete(text);
  }

  #joinable(place: Place): OpenStream | undefined {
    const open = this.#open.get(placeText(place.tenant, place.text));
    if (!open || this.#tiers.isUntouched(place, open.tags, open.began)) return open;
    this.void(place);
    return undefined;
  }

  #begin<C>(
    place: Place,
    produce: (computation: Pick<Computation, 'signal'>) => AsyncIterable<C>,
    order: StreamOrder<C>,
  ): OpenStream {
    const { clock } = this.#options;
    const controller = new AbortController();
    /** Set once the store has been asked and has no such stream. */
    let produced: { readonly from: Beginning; readonly since: number } | undefined;
    const load = async function* (reports: Reports): AsyncGenerator<C> {
      const { entry, ...from } = await asked;
      if (entry) return yield* entry.value as readonly C[];
      reports.miss(place);
      produced = { from, since: clock.now() };
      yield* produce({ signal: controller.signal });
    };
    const asked = this.#askStore(place, order.tags);
    const owner: StreamOwner<C> = {
      onEnd: (chunks) => {
        this.#unlink(place, opening);
        if (produced) this.#keep(place, order, stream.voided, chunks, produced);
      },
      onFail: (error) => {
        this.#unlink(place, opening);
        this.#reports.failed(place, clock.now() - (produced?.since ?? clock.now()), false, error);
      },
      onAbandoned: () => {
        this.#unlink(place, opening);
        if (produced) this.#tiers.unstored(place, 'abandoned');
      },
      abort: (reason) => controller.abort(reason),
    };
    const stream = runShared(
      controller.signal,
      place.tenant,
      () => new SharedStream<C>(load(this.#reports), owner, this.#options),
    );
    const opening: OpenStream = {
      stream: stream as SharedStream<unknown>,
      opened: asked.then(({ entry }) => entry),
      tags: order.tags,
      began: this.#tiers.sequence,
    };
    this.#open.set(placeText(place.tenant, place.text), opening);
    return opening;
  }

  async #askStore(place: Place, tags: readonly string[]): Promise<Beginning & { readonly entry: Entry | undefined }> {
    const { entries, ...from } = await this.#tiers.read([place], tags);
    const [entry] = entries;
    return { ...from, entry: entry && this.#options.clock.now() < entry.freshUntil ? entry : undefined };
  }

  #keep<C>(
    place: Place,
    { ttlMs, tags, isComplete = () => true }: StreamOrder<C>,
    voided: Voided | undefined,
    chunks: readonly C[],
    { from, since }: { readonly from: Beginning; readonly since: number },
  ): void {
    const tookMs = this.#options.clock.now() - since;
    try {
      if (isComplete(chunks) !== true) {
        this.#tiers.unstored(place, 'incomplete');
        return;
      }
    } catch (error) {
      this.#reports.failed(place, tookMs, false, error); // isComplete itself failed: the readers have their stream
      return;
    }
    this.#reports.computed(place, tookMs, false, false);
    const invalidated = this.#tiers.isUntouched(place, tags, from.sequence) ? undefined : 'invalidated';
    const reason = voided ?? invalidated ?? (ttlMs === 0 ? 'not-wanted' : undefined);
    if (reason) this.#tiers.unstored(place, reason);
    else this.#tiers.keep([{ place, value: chunks, lifetime: lifetimeOf(this.#options, ttlMs, tags, tookMs) }], from);
  }

  #unlink(place: Place, opening: OpenStream): void {
    const text = placeText(place.tenant, place.text);
    if (this.#open.get(text) === opening) this.#open.delete(text);
  }

  #ageOf(entry: Entry): number {
    return Math.max(0, this.#options.clock.now() - entry.storedAt);
  }
}

async function* replay<C>(entry: Entry, signals: readonly (AbortSignal | undefined)[]): AsyncGenerator<C> {
  for (const chunk of entry.value as readonly C[]) {
    for (const signal of signals) if (signal?.aborted) throw abortReason(signal);
    yield entry.isShareable ? chunk : copyOf(chunk);
  }
}
