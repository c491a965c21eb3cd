import { runShared } from '../../kernel/index.js';
import type { Entry } from '../entry.js';
import type { UnstoredReason } from '../events.js';
import { lifetimeOf } from '../freshness.js';
import { Directives } from '../loading/directives.js';
import type { ResolvedCacheOptions } from '../options.js';
import type { Place } from '../place.js';
import type { Reports } from '../reports.js';
import type { Beginning, Tiers } from '../tiers.js';
import type { ChunkSource, LoggedChunk } from './chunk.js';
import type { ChunkLog } from './chunk-log.js';
import { ProducedSource } from './produced-source.js';
import { isRecording, loggedRecording, type Recording, recordingOf } from './recording.js';
import { SharedStream, type StreamOwner } from './shared-stream.js';
import type { StreamOrder } from './stream-order.js';

export interface RunSurroundings {
  readonly options: ResolvedCacheOptions;
  readonly tiers: Tiers;
  readonly reports: Reports;
  /** Newcomers cannot join it any more. Called once or more. */
  readonly onUnlink: (run: StreamRun) => void;
}

interface Production {
  readonly source: ProducedSource<unknown>;
  readonly from: Beginning;
}

/** What the store has of a stream, or memory where the store does not answer. */
export interface StoredRecording {
  readonly level: 'memory' | 'store';
  readonly entry: Entry;
  readonly recording: Recording;
}

/**
 * One stream on its way: what the store has of it, or else what is produced now, which is kept if it came to its end.
 * The producer is called when a reader asks for the first chunk and the store has said that it has none.
 */
export class StreamRun implements StreamOwner, ChunkSource {
  readonly place: Place;
  readonly stream: SharedStream;
  /** The sequence of invalidations when it began. */
  readonly began: number;
  /** Settles when it is known whether the store has the stream. */
  readonly stored: Promise<StoredRecording | undefined>;
  /** One of its callers wants it to be finished without them. */
  isWantedWhole = false;
  /** Why it will not be kept, whatever becomes of it. Its readers get it all the same. */
  voided: UnstoredReason | undefined;
  readonly #order: StreamOrder<unknown>;
  readonly #surroundings: RunSurroundings;
  readonly #controller = new AbortController();
  readonly #decided: Directives;
  readonly #asked: Promise<Beginning & { readonly found: StoredRecording | undefined }>;
  #source: ChunkSource | undefined;
  #production: Production | undefined;
  #isStopped = false;

  constructor(place: Place, order: StreamOrder<unknown>, surroundings: RunSurroundings) {
    const { options, tiers } = surroundings;
    this.place = place;
    this.#order = order;
    this.#surroundings = surroundings;
    this.#decided = new Directives(options.name, this.#controller.signal, undefined);
    this.began = tiers.sequence;
    this.#asked = this.#askStore();
    this.stored = this.#asked.then(({ found }) => found);
    const log = { ...options, maxBytes: options.maxStreamBytes, key: `${options.name}:stream`, now: tiers.now };
    this.stream = runShared(this.#controller.signal, place.tenant, () => new SharedStream(this, this, log));
  }

  /** Those of its first caller, and those that its producer has named so far. */
  get tags(): readonly string[] {
    return [...this.#order.tags, ...this.#decided.tags];
  }

  async next(): Promise<IteratorResult<readonly LoggedChunk[], undefined>> {
    const source = this.#source ?? (await this.#open());
    return source.next();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#source?.stop();
  }

  onTrimmed(): void {
    this.voided ??= 'too-large';
    this.#surroundings.onUnlink(this);
  }

  isToBeFilled(): boolean {
    return (
      this.isWantedWhole && !this.voided && this.#production !== undefined && this.#decided.isStored && this.#ttlMs > 0
    );
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  onFail(error: unknown): void {
    this.#surroundings.onUnlink(this);
    this.#surroundings.reports.failed(this.place, this.#tookMs(), false, error);
  }

  onAbandoned(): void {
    this.#surroundings.onUnlink(this);
    if (this.#production) this.#surroundings.tiers.unstored(this.place, this.voided ?? 'abandoned');
  }

  onEnd(log: ChunkLog): void {
    this.#surroundings.onUnlink(this);
    if (!this.#production) return;
    const { tiers, reports, options } = this.#surroundings;
    const tookMs = this.#tookMs();
    try {
      const chunks = log.whole(options.maxKeptStreamBytes);
      const recording = chunks && recordingOf(chunks);
      if (recording && this.#order.isComplete(recording.chunks) !== true) {
        tiers.unstored(this.place, 'incomplete');
        return;
      }
      reports.computed(this.place, tookMs, false, false);
      this.#keep(recording, this.#production.from, tookMs);
    } catch (error) {
      reports.failed(this.place, tookMs, false, error); // isComplete itself failed, or the file did: the readers have their stream
    }
  }

  #keep(recording: Recording | undefined, from: Beginning, computeMs: number): void {
    const { tiers, options } = this.#surroundings;
    const { place, tags } = this;
    const invalidated = tiers.isUntouched(place, tags, from.sequence) ? undefined : 'invalidated';
    const isWanted = this.#decided.isStored && this.#ttlMs > 0;
    const reason = this.voided ?? invalidated ?? (isWanted ? undefined : 'not-wanted');
    if (reason) tiers.unstored(place, reason);
    else if (!recording) tiers.unstored(place, 'too-large');
    else tiers.keep([{ place, value: recording, lifetime: lifetimeOf(options, this.#ttlMs, tags, computeMs) }], from);
  }

  async #open(): Promise<ChunkSource> {
    const { found, ...from } = await this.#asked;
    if (this.#isStopped) return nothing;
    if (found) {
      this.#source = onceAll(loggedRecording(found.entry, found.recording));
      return this.#source;
    }
    this.#surroundings.reports.miss(this.place);
    const source = new ProducedSource(() => this.#order.produce(this.#decided), this.#surroundings.options);
    this.#production = { source, from };
    this.#source = source; // at once: it may have to be stopped before anybody has seen it
    return source;
  }

  async #askStore(): Promise<Beginning & { readonly found: StoredRecording | undefined }> {
    const { options, tiers } = this.#surroundings;
    const { entries, level, ...from } = await tiers.read([this.place], this.#order.tags);
    const [entry] = entries;
    if (!entry || options.clock.now() >= entry.freshUntil || !isRecording(entry.value))
      return { ...from, found: undefined };
    return { ...from, found: { level, entry, recording: entry.value } };
  }

  get #ttlMs(): number {
    return this.#decided.ttlMs ?? this.#order.ttlMs ?? this.#surroundings.options.ttlMs;
  }

  #tookMs(): number {
    const now = this.#surroundings.options.clock.now();
    return now - (this.#production?.source.since ?? now);
  }
}

const over = { done: true, value: undefined } as const;

const nothing: ChunkSource = { next: async () => over, stop: async () => {} };

function onceAll(chunks: readonly LoggedChunk[]): ChunkSource {
  let isGiven = false;
  return {
    async next() {
      if (isGiven) return over;
      isGiven = true;
      return { done: false, value: chunks };
    },
    async stop() {},
  };
}
