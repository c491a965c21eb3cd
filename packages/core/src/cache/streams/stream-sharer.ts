import type { Clock, Timer } from '../../kernel/index.js';
import type { StoreStreamState, StreamPiece } from '../store.js';
import type { StreamCalls } from '../store-guard/stream-calls.js';
import type { SharedStream } from './shared-stream.js';
import { lastPieceOf, type PieceOptions, pieceOf } from './stream-pieces.js';
import type { StreamOutcome, StreamReader } from './stream-reader.js';

/** What is written together, at most. */
const batchMs = 20;
const batchBytes = 65_536;
const batchChunks = 256;
const retryMs = 250;
/** No longer than those who follow wait for the store. */
const longestAwayMs = 15_000;
/** A lease, and a log, outlives so many lost words in a row. */
const wordsPerLease = 3;

export interface SharerOptions {
  readonly calls: StreamCalls;
  /** Of the stream in the store. */
  readonly key: string;
  readonly run: string;
  readonly ttlMs: number;
  readonly pieces: PieceOptions;
  /** What may be written, in bytes. */
  readonly maxBytes: number;
  readonly clock: Clock;
  readonly stream: SharedStream;
  readonly tags: () => readonly string[];
  /** Calls when it may be followed. @returns how to end it */
  readonly watch: (onChange: () => void) => (() => void) | undefined;
  /** It cannot be shared any more: who comes now has to begin anew. */
  readonly onCut: () => void;
}

/** What has become of the next chunk. */
type Step =
  | { readonly value: unknown; readonly atMs: number; readonly bytes: number }
  | { readonly outcome: StreamOutcome | 'cut' | 'left' };

interface Gathered {
  readonly values: unknown[];
  readonly atMs: number[];
  outcome?: StreamOutcome | 'cut' | 'left';
}

/**
 * Lets other processes follow a stream that is produced here. Nothing is written while nobody does. Then it is one more
 * reader of the stream, which copies it into its log in the store: so the others keep it going, as readers here do, and hold
 * nobody up. A lead of theirs is not bounded by what they read but by what may be written: to ask for each chunk would cost a
 * round trip each.
 */
export class StreamSharer {
  readonly #options: SharerOptions;
  readonly #unwatch: (() => void) | undefined;
  #timer: Timer | undefined;
  #reader: StreamReader<unknown> | undefined;
  #next: Promise<Step> | undefined;
  #sentAt = Number.NEGATIVE_INFINITY;
  #isLooking = false;
  #isCalled = false;
  #isClosed = false;

  constructor(options: SharerOptions) {
    this.#options = options;
    this.#unwatch = options.watch(() => this.#look());
    this.#lookLater();
  }

  /** The stream is over; those who follow are told, and from now on nobody can begin to. */
  finish(): void {
    if (!this.#reader) this.close();
    else this.#leaveFeed();
  }

  close(): void {
    this.#isClosed = true;
    this.#leaveFeed();
    void this.#reader?.return();
  }

  #leaveFeed(): void {
    this.#unwatch?.();
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Others call when they begin to follow; this is for when their word is lost. */
  #lookLater(): void {
    const { clock, ttlMs } = this.#options;
    const look = (): void => {
      this.#lookLater();
      this.#look();
    };
    this.#timer = clock.schedule(ttlMs / wordsPerLease, look, { background: true });
  }

  #look(): void {
    this.#isCalled = true;
    if (this.#isLooking || this.#isClosed) return;
    this.#isLooking = true;
    void this.#share().then(() => {
      this.#isLooking = false;
    });
  }

  /** For as long as it is followed. Never rejects. */
  async #share(): Promise<void> {
    const { calls, key, run, stream } = this.#options;
    while (this.#isCalled && !this.#isClosed) {
      this.#isCalled = false;
      const state = await calls.append({ key, run, from: 0, pieces: [] });
      if (this.#isClosed) break;
      if (!state?.isFollowed) continue;
      if (stream.log.isTrimmed) return this.#cut(state.length);
      const before = this.#reader;
      this.#reader = stream.read(undefined);
      this.#next = undefined;
      void before?.return(); // not earlier: it may be the last reader
      if (await this.#copy(this.#reader)) return this.close();
      this.#isCalled = true; // who began to follow meanwhile has not been heard
    }
    void this.#reader?.return();
    this.#reader = undefined;
  }

  /** @returns whether that was to the end; else nobody follows any more, or the store is away, or has lost the beginning */
  async #copy(reader: StreamReader<unknown>): Promise<boolean> {
    const { pieces: options, maxBytes, tags } = this.#options;
    let length = 0;
    let bytes = 0;
    for (;;) {
      const { outcome, values, atMs } = await this.#gather(reader);
      if (outcome === 'left') return false;
      const end = length + values.length;
      const piece = values.length > 0 ? pieceOf({ values, atMs, tags: tags() }, end, options) : undefined;
      bytes += piece?.bytes.length ?? 0;
      if (outcome === 'cut' || (values.length > 0 && !piece) || bytes > maxBytes) {
        await this.#cut(length);
        return true;
      }
      const pieces = piece ? [piece] : [];
      if (outcome) pieces.push(lastPieceOf(outcome, end, options));
      const state = await this.#send(length, pieces);
      if (outcome && !(state?.isFollowed && state.length < length)) return true;
      if (!state?.isFollowed || state.length < length) return false;
      length = end;
    }
  }

  async #cut(length: number): Promise<void> {
    this.#options.onCut();
    const state = await this.#send(length, [lastPieceOf('cut', length, this.#options.pieces)]);
    const end = state?.length ?? 0; // a log of before a new beginning is longer
    if (end > length) await this.#send(end, [lastPieceOf('cut', end, this.#options.pieces)]);
    this.close();
  }

  /** What there is to write; nothing after a third of a lease, in which it is worth a word that it goes on. */
  async #gather(reader: StreamReader<unknown>): Promise<Gathered> {
    const { clock, ttlMs } = this.#options;
    const gathered: Gathered = { values: [], atMs: [] };
    let pause = pauseOf(clock, ttlMs / wordsPerLease);
    for (let bytes = 0; bytes < batchBytes && gathered.values.length < batchChunks; ) {
      this.#next ??= stepOf(reader, this.#options.stream);
      const step = await Promise.race([this.#next, pause.isOver]);
      if (!step) break;
      this.#next = undefined;
      if ('outcome' in step) {
        gathered.outcome = step.outcome;
        break;
      }
      if (gathered.values.length === 0) {
        pause.cancel();
        pause = pauseOf(clock, Math.max(0, this.#sentAt + batchMs - clock.now()));
      }
      gathered.values.push(step.value);
      gathered.atMs.push(step.atMs);
      bytes += step.bytes;
    }
    pause.cancel();
    return gathered;
  }

  /** Again and again: a piece that is there already is not written twice. */
  async #send(from: number, pieces: readonly StreamPiece[]): Promise<StoreStreamState | undefined> {
    const { calls, key, run, clock } = this.#options;
    const since = clock.now();
    for (;;) {
      this.#sentAt = clock.now();
      const state = await calls.append({ key, run, from, pieces });
      if (state || this.#isClosed || clock.now() - since >= longestAwayMs) return state;
      const pause = pauseOf(clock, retryMs);
      await pause.isOver;
    }
  }
}

/** Never rejects, so that nobody has to wait for it. */
function stepOf(reader: StreamReader<unknown>, stream: SharedStream): Promise<Step> {
  return reader.next().then(
    ({ done, value }) => {
      if (!done) return { value, atMs: reader.atMs, bytes: reader.bytes };
      return { outcome: stream.outcome === 'ended' ? 'ended' : 'left' };
    },
    () => {
      const { outcome } = stream;
      return { outcome: typeof outcome === 'object' ? outcome : 'cut' }; // too slow for what memory keeps
    },
  );
}

function pauseOf(clock: Clock, ms: number): { readonly isOver: Promise<undefined>; cancel(): void } {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = clock.schedule(ms, () => resolve(undefined), { background: true });
  return { isOver: promise, cancel: () => timer.cancel() };
}
