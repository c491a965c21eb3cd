import { type Clock, type Timer, WarmpathError } from '../../kernel/index.js';
import type { StreamCalls } from '../store-guard/stream-calls.js';
import type { Bell } from './bell.js';
import type { ChunkSource, LoggedChunk } from './chunk.js';
import { contentOf, type PieceOptions } from './stream-pieces.js';
import type { StreamOutcome } from './stream-reader.js';

/** At most so many pieces at a time; each has some 64 kB. */
const mostPieces = 16;
/** A store that comes back within this time has cost nobody a stream. */
const longestAwayMs = 15_000;
/** A producer that lives says so three times while its lease lasts, and writes again what the store has lost. */
const missingPerLease = 2 / 3;
const looksPerLease = 3;

export interface FollowOptions {
  readonly calls: StreamCalls;
  /** Of the stream in the store. */
  readonly key: string;
  readonly run: string;
  /** How long a lease lasts, and so what is said of a run. */
  readonly ttlMs: number;
  readonly pieces: PieceOptions;
  readonly bell: Bell;
  readonly clock: Clock;
}

/** What a look has found; `'cut'` where it is of no use to go on. */
type Finding = { readonly chunks: readonly LoggedChunk[] } | { readonly outcome: StreamOutcome } | 'cut';

const over = { done: true, value: undefined } as const;

/**
 * A stream that another process produces, as its log in the store grows. It is read when a reader here wants more. As long as
 * it is not stopped, the producer hears that it is followed, whether anything is read or not.
 */
export class FollowedSource implements ChunkSource {
  readonly run: string;
  readonly #options: FollowOptions;
  #position = 0;
  #tags: readonly string[] = [];
  /** Found by `peek`. */
  #ahead: Finding | undefined;
  /** How the stream has ended, while what comes before that is given. */
  #outcome: Finding | undefined;
  #isMore = false;
  /** Whether the store has not answered when it was last asked. */
  #isAway = false;
  #readAt: number;
  #answeredAt: number;
  /** Since when there is no log of the run. */
  #missingSince: number | undefined;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: FollowOptions) {
    this.run = options.run;
    this.#options = options;
    this.#readAt = this.#answeredAt = options.clock.now();
    this.#stayLater();
  }

  /** Those that its producer has named so far. */
  get tags(): readonly string[] {
    return this.#tags;
  }

  /**
   * Looks whether there is something to give, before anything is given.
   * @returns `'unusable'` when the store does not answer, or the log is of no use
   */
  async peek(): Promise<'something' | 'nothing' | 'unusable'> {
    this.#ahead ??= await this.#look();
    if (this.#ahead === 'cut' || this.#isAway) return 'unusable';
    return this.#ahead ? 'something' : 'nothing';
  }

  async next(): Promise<IteratorResult<readonly LoggedChunk[], undefined>> {
    let found = this.#ahead ?? this.#outcome;
    this.#ahead = undefined;
    for (let looks = 0; !found && !this.#isStopped; looks++) {
      if (!this.#isMore) await this.#options.bell.wait(looks);
      if (this.#isStopped) break;
      found = await this.#look();
      if (!found && this.#isLost()) found = 'cut';
    }
    if (!found || this.#isStopped) return over;
    if (found !== 'cut' && 'chunks' in found) return { done: false, value: found.chunks };
    await this.stop();
    if (found === 'cut') throw this.#lost();
    if (found.outcome === 'ended') return over;
    throw found.outcome.error;
  }

  async stop(): Promise<void> {
    this.leave();
    this.#options.bell.close();
  }

  /** Does not follow it any more. */
  leave(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /** @returns undefined when there is nothing new */
  async #look(): Promise<Finding | undefined> {
    const { calls, key, run, bell, clock } = this.#options;
    bell.hush();
    this.#readAt = clock.now();
    const answer = await calls.read({ key, run, from: this.#position, mostPieces });
    this.#isAway = answer === undefined;
    // There may be more, but a store that is away is not asked again at once: its breaker answers in the same turn, for ever.
    this.#isMore = answer !== undefined && answer.pieces.length >= mostPieces;
    if (!answer) return undefined;
    this.#heard(answer.isThere);
    const chunks: LoggedChunk[] = [];
    for (const piece of answer.pieces) {
      const content = contentOf(piece, this.#options.pieces);
      if (!content) return 'cut';
      if ('outcome' in content) {
        const found = content.outcome === 'cut' ? 'cut' : { outcome: content.outcome };
        if (piece.end > this.#position) return 'cut';
        if (chunks.length === 0) return found;
        this.#outcome = found;
        break;
      }
      const known = this.#position - (piece.end - content.chunks.length);
      if (known < 0) return 'cut'; // what is between the two is missing
      for (const chunk of content.chunks.slice(known)) chunks.push(chunk);
      this.#position = Math.max(this.#position, piece.end);
      this.#tags = content.tags;
    }
    return chunks.length > 0 ? { chunks } : undefined;
  }

  #heard(isThere: boolean): void {
    const now = this.#options.clock.now();
    this.#answeredAt = now;
    this.#missingSince = isThere ? undefined : (this.#missingSince ?? now);
  }

  #isLost(): boolean {
    const { clock, ttlMs } = this.#options;
    const now = clock.now();
    if (now - this.#answeredAt >= longestAwayMs) return true;
    return this.#missingSince !== undefined && now - this.#missingSince >= ttlMs * missingPerLease;
  }

  #lost(): WarmpathError {
    return new WarmpathError(
      'WP_STREAM_LOST',
      'The process that produced a shared stream has gone, or the store in between, or the stream outgrew what is shared. ' +
        'Ask again: it begins anew then.',
      { details: { chunks: this.#position } },
    );
  }

  /** Goes on following while its readers are busy with what they have. */
  #stayLater(): void {
    const { clock, ttlMs } = this.#options;
    this.#timer = clock.schedule(ttlMs / looksPerLease, () => void this.#stay(), { background: true });
  }

  async #stay(): Promise<void> {
    this.#stayLater();
    const { calls, key, run, clock, ttlMs } = this.#options;
    if (clock.now() - this.#readAt < ttlMs / looksPerLease / 2) return;
    const answer = await calls.read({ key, run, from: this.#position, mostPieces: 0 });
    if (answer) this.#heard(answer.isThere);
  }
}
