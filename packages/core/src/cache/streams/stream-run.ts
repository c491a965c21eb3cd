import { currentContext, runShared } from '../../kernel/index.js';
import type { UnstoredReason } from '../events.js';
import { lifetimeOf } from '../freshness.js';
import { Directives } from '../loading/directives.js';
import type { Leases } from '../loading/leases.js';
import type { ResolvedCacheOptions } from '../options.js';
import type { Place } from '../place.js';
import type { Reports } from '../reports.js';
import type { Beginning, Tiers } from '../tiers.js';
import type { ChunkSource, LoggedChunk } from './chunk.js';
import type { ChunkLog } from './chunk-log.js';
import type { FollowedSource } from './followed-source.js';
import { ProducedSource } from './produced-source.js';
import { loggedRecording, type Recording, recordingOf } from './recording.js';
import { SharedStream, type StreamOwner } from './shared-stream.js';
import { type Beginnings, type Opened, piecesOf, type StreamLease, StreamOpening } from './stream-opening.js';
import type { StreamOrder } from './stream-order.js';
import { StreamSharer } from './stream-sharer.js';

export interface RunSurroundings {
  readonly options: ResolvedCacheOptions;
  readonly tiers: Tiers;
  readonly reports: Reports;
  readonly leases: Leases;
  /** Newcomers cannot join it any more. Called once or more. */
  readonly onUnlink: (run: StreamRun) => void;
}

interface Production {
  readonly source: ProducedSource<unknown>;
  readonly from: Beginning;
}

/**
 * One stream on its way: what the store has of it, or what another process produces, or else what is produced now, which is
 * kept if it came to its end. The producer is called when a reader asks for the first chunk, here or in another process, and
 * the store has said that it has none.
 */
export class StreamRun implements StreamOwner, ChunkSource {
  readonly place: Place;
  readonly stream: SharedStream;
  /** Settles when it is known whether the store has the stream, or another process. */
  readonly first: Promise<Beginnings>;
  /** One of its callers wants it to be finished without them. */
  isWantedWhole = false;
  readonly #order: StreamOrder<unknown>;
  readonly #surroundings: RunSurroundings;
  readonly #controller = new AbortController();
  readonly #decided: Directives;
  readonly #opening: StreamOpening;
  #source: ChunkSource | undefined;
  #production: Production | undefined;
  #followed: FollowedSource | undefined;
  #lease: StreamLease | undefined;
  #sharer: StreamSharer | undefined;
  #voided: UnstoredReason | undefined;
  #isStopped = false;

  constructor(place: Place, order: StreamOrder<unknown>, surroundings: RunSurroundings) {
    const { options, tiers, leases } = surroundings;
    this.place = place;
    this.#order = order;
    this.#surroundings = surroundings;
    this.#decided = new Directives(options.name, this.#controller.signal, undefined);
    this.#opening = new StreamOpening(place, {
      options,
      tiers,
      leases,
      tags: order.tags,
      signal: this.#controller.signal,
      isVoid: () => this.#voided !== undefined,
      onLease: (lease) => this.#share(lease),
    });
    this.first = this.#opening.first;
    const log = { ...options, maxBytes: options.maxStreamBytes, key: `${options.name}:stream`, now: tiers.now };
    this.stream = runShared(
      this.#controller,
      place.tenant,
      currentContext()?.budget,
      () => new SharedStream(this, this, log),
    );
  }

  /** The sequence of invalidations when it began. */
  get began(): number {
    return this.#opening.began;
  }

  /** Those of its first caller, and those that its producer has named so far. */
  get tags(): readonly string[] {
    return [...this.#order.tags, ...this.#decided.tags, ...(this.#followed?.tags ?? [])];
  }

  /** It will not be kept, whatever becomes of it, nor shared with newcomers. Its readers get it all the same. */
  void(reason: UnstoredReason): void {
    this.#voided ??= reason;
    this.#lease?.hold.release();
    this.#surroundings.onUnlink(this);
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
    this.void('too-large');
  }

  isToBeFilled(): boolean {
    const isUnderWay = this.#production !== undefined || this.#followed !== undefined;
    return this.isWantedWhole && !this.#voided && isUnderWay && this.#decided.isStored && this.#ttlMs > 0;
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  onFail(error: unknown): void {
    this.#surroundings.onUnlink(this);
    this.#surroundings.reports.failed(this.place, this.#tookMs(), false, error);
    this.#finish();
  }

  onAbandoned(): void {
    this.#surroundings.onUnlink(this);
    if (this.#production) this.#surroundings.tiers.unstored(this.place, this.#voided ?? 'abandoned');
    this.#sharer?.close(); // the lease ends with the signal
  }

  onEnd(log: ChunkLog): void {
    this.#surroundings.onUnlink(this);
    this.#finish(this.#production && this.#keepWhole(log, this.#production.from));
  }

  /** @returns when the store has it, or does not take it; undefined when it is not told */
  #keepWhole(log: ChunkLog, from: Beginning): Promise<void> | undefined {
    const { tiers, reports, options } = this.#surroundings;
    const tookMs = this.#tookMs();
    try {
      const chunks = log.whole(options.maxKeptStreamBytes);
      const recording = chunks && recordingOf(chunks);
      if (recording && this.#order.isComplete(recording.chunks) !== true) {
        tiers.unstored(this.place, 'incomplete');
        return undefined;
      }
      reports.computed(this.place, tookMs, false, false);
      return this.#keep(recording, from, tookMs);
    } catch (error) {
      reports.failed(this.place, tookMs, false, error); // isComplete itself failed, or the file did: the readers have their stream
      return undefined;
    }
  }

  #keep(recording: Recording | undefined, from: Beginning, computeMs: number): Promise<void> | undefined {
    const { tiers, options } = this.#surroundings;
    const { place, tags } = this;
    const invalidated = tiers.isUntouched(place, tags, from.sequence) ? undefined : 'invalidated';
    const isWanted = this.#decided.isStored && this.#ttlMs > 0;
    const reason = this.#voided ?? invalidated ?? (isWanted ? undefined : 'not-wanted');
    if (reason) tiers.unstored(place, reason);
    else if (!recording) tiers.unstored(place, 'too-large');
    else {
      const lifetime = lifetimeOf(options, this.#ttlMs, tags, computeMs);
      return tiers.keep([{ place, value: recording, lifetime }], from).written;
    }
    return undefined;
  }

  /** Newcomers elsewhere may ask once they can find what there is. */
  #finish(written?: Promise<void>): void {
    this.#sharer?.finish();
    const release = (): void => this.#lease?.hold.release();
    if (written) void written.then(release);
    else release();
  }

  async #open(): Promise<ChunkSource> {
    const opened = await this.#opening.open();
    if (this.#isStopped) {
      if (opened.as === 'followed') await opened.source.stop();
      return nothing;
    }
    this.#source = this.#sourceOf(opened); // at once: it may have to be stopped before anybody has seen it
    return this.#source;
  }

  #sourceOf(opened: Opened): ChunkSource {
    if (opened.as === 'found') return onceAll(loggedRecording(opened.found.entry, opened.found.recording));
    if (opened.as === 'followed') {
      this.#followed = opened.source;
      return opened.source;
    }
    this.#surroundings.reports.miss(this.place);
    const source = new ProducedSource(() => this.#order.produce(this.#decided), this.#surroundings.options);
    this.#production = { source, from: opened.from };
    return source;
  }

  /** Others may follow what is produced here. */
  #share(lease: StreamLease): void {
    const { tiers, options } = this.#surroundings;
    const { place } = this;
    const { streams: calls } = tiers;
    if (!calls || this.#controller.signal.aborted) return;
    this.#lease = lease;
    if (this.#voided) lease.hold.release();
    this.#sharer = new StreamSharer({
      calls,
      key: place.id,
      run: lease.run,
      ttlMs: lease.ttlMs,
      pieces: piecesOf(options, place, lease.run),
      maxBytes: options.maxStreamBytes,
      clock: options.clock,
      stream: this.stream,
      tags: () => this.tags,
      watch: (onChange) => tiers.watch(place, onChange),
      onCut: () => lease.hold.release(),
    });
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
