import { currentContext, type LinkedAbort, remainingMs, untilAborted } from '../../kernel/index.js';
import type { CachedStream, ReadCall } from '../contract.js';
import type { Entry } from '../entry.js';
import { Leases } from '../loading/leases.js';
import type { ResolvedCacheOptions } from '../options.js';
import { type Place, placeText } from '../place.js';
import type { Reports } from '../reports.js';
import type { Tiers } from '../tiers.js';
import { PacedReader } from './paced-reader.js';
import { isRecording, RecordingReader } from './recording.js';
import type { StreamOrder } from './stream-order.js';
import type { TimedReader } from './stream-reader.js';
import { StreamRun } from './stream-run.js';

/** Streams as values: shared while they run, from their first chunk on, and kept when they have ended by themselves. */
export class Streams {
  readonly #options: ResolvedCacheOptions;
  readonly #tiers: Tiers;
  readonly #reports: Reports;
  /** Those that newcomers may join. */
  readonly #runs = new Map<string, StreamRun>();
  readonly #leases: Leases;
  #isClosed = false;

  constructor(options: ResolvedCacheOptions, tiers: Tiers, reports: Reports) {
    this.#options = options;
    this.#tiers = tiers;
    this.#reports = reports;
    this.#leases = new Leases(options, tiers);
  }

  /** The whole of one that memory holds. */
  kept<C>(place: Place, order: StreamOrder<C>, call: ReadCall): CachedStream<C> | undefined {
    const entry = this.#tiers.hit(place.tenant, place.text);
    if (!entry || !isRecording(entry.value)) return undefined;
    const ageMs = this.#ageOf(entry);
    this.#reports.hit(place, 'memory', ageMs, entry.computeMs, false);
    this.#reports.audit('read', place, 'memory');
    const signals = [call.signal, currentContext()?.signal];
    const reader = new RecordingReader<C>(entry, entry.value, signals);
    return { level: 'memory', ageMs, chunks: this.#paced(reader, order, signals) };
  }

  /** One that is under way, at once, or a new one, as soon as it is known whether the store has it. */
  async join<C>(place: Place, order: StreamOrder<C>, caller: LinkedAbort | undefined): Promise<CachedStream<C>> {
    const joined = this.#joinable(place);
    const run = joined ?? this.#begin(place, order);
    run.isWantedWhole ||= order.finishFill && !this.#isClosed;
    const reader = run.stream.read<C>(caller?.signal, caller?.release);
    const chunks = this.#paced(reader, order, [caller?.signal]);
    if (joined) {
      this.#reports.hit(place, 'shared', 0, 0, false);
      this.#reports.audit('read', place, 'shared');
      return { level: 'shared', ageMs: 0, chunks };
    }
    const first = await untilAborted(run.first, caller?.signal);
    const found = first.as === 'found' ? first.found : undefined;
    const level = found?.level ?? (first.as === 'held' ? 'shared' : 'computed');
    const ageMs = found ? this.#ageOf(found.entry) : 0;
    if (level !== 'computed') this.#reports.hit(place, level, ageMs, found?.entry.computeMs ?? 0, false);
    this.#reports.audit('read', place, level);
    return { level, ageMs, chunks };
  }

  /** All chunks of a stream. What is kept is there without a turn of the event loop for each. */
  async all<C>({ chunks }: CachedStream<C>): Promise<readonly C[]> {
    if (chunks instanceof RecordingReader) return (chunks as RecordingReader<C>).all();
    const all: C[] = [];
    for await (const chunk of chunks) all.push(chunk);
    return all;
  }

  /** What is under way for a place is not kept, and newcomers begin anew. */
  void(place: Place): void {
    const run = this.#runs.get(placeText(place.tenant, place.text));
    if (!run) return;
    run.void('invalidated');
    run.stream.stopFilling(new DOMException('What it would fill was invalidated', 'AbortError'));
  }

  /** Ends what goes on without readers. */
  close(): void {
    this.#isClosed = true;
    for (const run of this.#runs.values()) {
      run.isWantedWhole = false;
      run.stream.stopFilling(new DOMException('The cache was closed', 'AbortError'));
    }
  }

  #joinable(place: Place): StreamRun | undefined {
    const run = this.#runs.get(placeText(place.tenant, place.text));
    if (!run || this.#tiers.isUntouched(place, run.tags, run.began)) return run;
    this.void(place);
    return undefined;
  }

  #begin<C>(place: Place, order: StreamOrder<C>): StreamRun {
    const run = new StreamRun(place, order as StreamOrder<unknown>, {
      options: this.#options,
      tiers: this.#tiers,
      reports: this.#reports,
      leases: this.#leases,
      onUnlink: (ended) => this.#unlink(ended),
    });
    this.#runs.set(placeText(place.tenant, place.text), run);
    return run;
  }

  #unlink(run: StreamRun): void {
    const text = placeText(run.place.tenant, run.place.text);
    if (this.#runs.get(text) === run) this.#runs.delete(text);
  }

  #paced<C>(
    reader: TimedReader<C>,
    { isPaced }: StreamOrder<C>,
    signals: readonly (AbortSignal | undefined)[],
  ): AsyncIterable<C> {
    if (!isPaced) return reader;
    const { clock } = this.#options;
    return new PacedReader(reader, { clock, signals, deadline: clock.now() + remainingMs(clock) });
  }

  #ageOf(entry: Entry): number {
    return Math.max(0, this.#options.clock.now() - entry.storedAt);
  }
}
