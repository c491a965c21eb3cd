import type { Entry } from '../entry.js';
import type { Hold, Leases } from '../loading/leases.js';
import type { ResolvedCacheOptions } from '../options.js';
import type { Place } from '../place.js';
import type { Beginning, Leased, Tiers } from '../tiers.js';
import { Bell } from './bell.js';
import { FollowedSource } from './followed-source.js';
import { isRecording, type Recording } from './recording.js';
import type { PieceOptions } from './stream-pieces.js';

/** An upstream that can be reached must not be made unreachable by somebody else's lease. */
const longestWaitMs = 60_000;
/** Nor by so many who all ended before their first chunk. */
const mostRuns = 3;
/** Entries that have come and are no use: past so many it is produced. */
const mostRounds = 3;

/** What the store has of a stream, or memory where the store does not answer. */
export interface StoredRecording {
  readonly level: 'memory' | 'store';
  readonly entry: Entry;
  readonly recording: Recording;
}

/** The right to produce a stream that others follow. */
export interface StreamLease {
  readonly run: string;
  readonly ttlMs: number;
  readonly hold: Hold;
}

/** How a stream begins: it is there; somebody else produces it; or it is produced here. */
export type Beginnings =
  | { readonly as: 'found'; readonly found: StoredRecording }
  | { readonly as: 'held'; readonly turn: Leased }
  | { readonly as: 'ours'; readonly from: Beginning };

export type Opened =
  | Exclude<Beginnings, { readonly as: 'held' }>
  | { readonly as: 'followed'; readonly source: FollowedSource };

export interface OpeningOptions {
  readonly options: ResolvedCacheOptions;
  readonly tiers: Tiers;
  readonly leases: Leases;
  readonly tags: readonly string[];
  /** Aborted when nobody wants the stream any more. */
  readonly signal: AbortSignal;
  /** Whether it was invalidated already, and is not to be waited for by others. */
  readonly isVoid: () => boolean;
  readonly onLease: (lease: StreamLease) => void;
}

/** Finds out who has a stream: the store, another process, or this one. */
export class StreamOpening {
  /** Settles when it is known whether the store has it, and if not, who produces it. */
  readonly first: Promise<Beginnings>;
  readonly #place: Place;
  readonly #options: OpeningOptions;
  #tags: readonly string[];
  #began: number;

  constructor(place: Place, options: OpeningOptions) {
    this.#place = place;
    this.#options = options;
    this.#tags = options.tags;
    this.#began = options.tiers.sequence;
    this.first = this.#ask();
  }

  /** The sequence of invalidations when it was last asked: what it leads to is ruled by those that come. */
  get began(): number {
    return this.#began;
  }

  /** Waits for what another process produces, until that is here or has come to nothing. */
  async open(): Promise<Opened> {
    const first = await this.first;
    if (first.as !== 'held') return first;
    const { options, tiers } = this.#options;
    const bell = new Bell(options, (onChange) => tiers.watch(this.#place, onChange));
    const opened = await this.#wait(first.turn, bell);
    if (opened.as !== 'followed') bell.close();
    return opened;
  }

  async #wait(first: Leased, bell: Bell): Promise<Opened> {
    const { options, tiers, signal } = this.#options;
    const since = options.clock.now();
    const runs = new Set<string>();
    let source: FollowedSource | undefined;
    let turn = first;
    let isAsked = true; // since the last wait
    try {
      for (let looks = 0; !signal.aborted; ) {
        bell.hush();
        const state = source ? await source.peek() : 'nothing';
        if (state === 'unusable') return { as: 'ours', from: turn };
        if (source && state === 'something') {
          if (this.#knows(source.tags)) {
            const followed = source;
            source = undefined;
            return { as: 'followed', source: followed };
          }
          // Who has the lease was asked without these: what they rule may be void already.
          this.#tags = [...this.#tags, ...source.tags];
          isAsked = false;
        } else if (source && isAsked) {
          await bell.wait(looks++, signal);
          isAsked = false;
          continue; // what it waits for is most likely there
        }
        const next = isAsked ? { as: 'held' as const, turn } : await this.#ask();
        if (next.as !== 'held') return next;
        turn = next.turn;
        isAsked = true;
        const holder = await tiers.streams?.holder(this.#place.id, this.#tags);
        if (!holder || options.clock.now() - since >= longestWaitMs) return { as: 'ours', from: turn };
        if (source && holder.run === source.run) continue;
        source?.leave();
        source = holder.run === undefined ? undefined : this.#follow(holder.run, turn.ttlMs, bell);
        if (source) runs.add(source.run);
        if (runs.size > mostRuns) return { as: 'ours', from: turn };
        if (source) continue;
        isAsked = false; // the lease has ended since
        if (looks++ > 0) await bell.wait(looks, signal);
      }
      return { as: 'ours', from: turn };
    } finally {
      source?.leave();
    }
  }

  #knows(tags: readonly string[]): boolean {
    return tags.every((tag) => this.#tags.includes(tag));
  }

  #follow(run: string, ttlMs: number, bell: Bell): FollowedSource {
    const { options, tiers } = this.#options;
    const calls = tiers.streams;
    if (!calls) throw new Error('Only a store with streams says who holds them');
    const { clock } = options;
    return new FollowedSource({
      calls,
      key: this.#place.id,
      run,
      ttlMs,
      pieces: piecesOf(options, this.#place, run),
      bell,
      clock,
    });
  }

  async #ask(): Promise<Beginnings> {
    const { options, tiers, leases, signal } = this.#options;
    const askedAt = options.clock.now();
    for (let round = 1; ; round++) {
      this.#began = tiers.sequence;
      const { entries, level, ...from } = await tiers.read([this.#place], this.#tags);
      const found = this.#fresh(entries[0], level);
      if (found) return { as: 'found', found };
      const isShared = tiers.hasLeases && !this.#options.isVoid();
      const turn = isShared ? await leases.acquire([this.#place], from, askedAt) : undefined;
      if (!turn) return { as: 'ours', from };
      const [outcome] = turn.outcomes;
      const come = typeof outcome === 'object' ? this.#fresh(outcome, 'store') : undefined;
      if (come) return { as: 'found', found: come };
      if (outcome === 'held' && tiers.streams) return { as: 'held', turn };
      if (outcome === 'granted') {
        const hold = leases.hold(this.#place, turn, signal);
        if (tiers.streams) this.#options.onLease({ run: turn.token, ttlMs: turn.ttlMs, hold });
        else hold.release(); // nobody could follow it: the lease was for its fence alone
      }
      if (typeof outcome === 'string' || round >= mostRounds) return { as: 'ours', from: turn };
    }
  }

  #fresh(entry: Entry | undefined, level: StoredRecording['level']): StoredRecording | undefined {
    if (!entry || this.#options.options.clock.now() >= entry.freshUntil || !isRecording(entry.value)) return undefined;
    return { level, entry, recording: entry.value };
  }
}

/** How a run's pieces are written and read. */
export function piecesOf({ codec, isolation, name }: ResolvedCacheOptions, place: Place, run: string): PieceOptions {
  return { codec, isolation, key: `${name}:${place.id}:${run}` };
}
