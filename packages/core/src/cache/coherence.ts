import { Invalidations } from './invalidations.js';
import type { MemoryEntry } from './memory/memory-tier.js';
import type { Invalidation } from './store.js';
import type { StoreTier } from './store-tier.js';

/** How often it is looked whether the store's news have stopped. */
const betweenLooksMs = 100;
/** Suspects of more gaps than that are not trusted. */
const mostGaps = 16;

export interface CoherenceOptions {
  readonly store: StoreTier | undefined;
  readonly staleWindowMs: number;
  /** A reading of the clock that costs next to nothing. */
  readonly now: () => number;
  /** What others have invalidated; `'gap'`: it cannot be told what. */
  readonly onNews: (news: Invalidation | 'gap') => void;
}

/** What is known of an entry in memory. `'suspect'`: it may have been invalidated elsewhere, unheard. */
export type Verdict = 'right' | 'wrong' | 'suspect';

interface Gap {
  readonly sequence: number;
  /** Everything that happened before this instant was heard. */
  readonly knownUntil: number;
}

/**
 * Whether what this process has agrees with what was invalidated, here and by others. It is a sequence of numbers (see
 * `Invalidations`) that others' news join; a gap in the news makes everything of before suspect.
 */
export class Coherence {
  readonly #options: CoherenceOptions;
  readonly #invalidations = new Invalidations();
  readonly #hasFeed: boolean;
  /** The last ones, oldest first. */
  readonly #gaps: Gap[] = [];
  /** Of the gaps before this number nothing is known any more. */
  #trustedFrom = 0;
  #knownUntil: number;
  #isSilent = false;
  #lookAt = 0;

  constructor(options: CoherenceOptions) {
    this.#options = options;
    this.#knownUntil = options.now();
    this.#hasFeed = options.store?.hasFeed ?? false;
  }

  /** The present: what begins now is ruled by what is invalidated after it. */
  get sequence(): number {
    return this.#invalidations.sequence;
  }

  /** For too long nobody knows what others have invalidated: of what memory holds only what is recent is to be served. */
  get isSilent(): boolean {
    return this.#isSilent;
  }

  /** Whether its computation began within the stale window: it cannot lack what was invalidated before. */
  isRecent(entry: MemoryEntry): boolean {
    return this.#options.now() - beganAt(entry) <= this.#options.staleWindowMs;
  }

  add(names: readonly string[]): void {
    this.#invalidations.add(names);
  }

  addAll(): void {
    this.#invalidations.addAll();
  }

  /** What others have invalidated since this was last asked holds from here on. Costs nanoseconds where there is no news. */
  catchUp(): void {
    if (!this.#hasFeed) return;
    const { store, now } = this.#options;
    const news = store?.poll();
    if (news !== undefined) this.#take(news);
    if (now() >= this.#lookAt) this.#look();
  }

  /** Whether all that may have been invalidated after `since` is known. */
  isCertain(since: number): boolean {
    return this.#invalidations.isCertain(since);
  }

  /** Whether certainly none of the names was invalidated after `since`. */
  isUntouched(names: readonly string[], since: number): boolean {
    return this.isCertain(since) && !this.#invalidations.hasTouched(names, since);
  }

  /** One that is found right is so without a second look until something else is invalidated. */
  judge(entry: MemoryEntry): Verdict {
    const { sequence } = this;
    const { fence, tags, id } = entry;
    if (fence === sequence) return 'right';
    if (tags !== undefined && this.#invalidations.hasTouched(tags, fence)) return 'wrong';
    if (id !== undefined && this.#invalidations.hasTouched([id], fence)) return 'wrong';
    if (!this.isCertain(fence)) return 'suspect';
    entry.fence = sequence;
    return 'right';
  }

  /** Whether a suspect may be served when the store cannot be asked: no longer than the stale window after what is certain. */
  isTrusted(entry: MemoryEntry): boolean {
    if (this.isRecent(entry)) return true;
    const { fence } = entry;
    const { now, staleWindowMs } = this.#options;
    const gap = fence < this.#trustedFrom ? undefined : this.#gaps.find(({ sequence }) => sequence > fence);
    return gap !== undefined && now() - gap.knownUntil <= staleWindowMs;
  }

  #take(news: readonly Invalidation[] | 'gap'): void {
    const { onNews } = this.#options;
    if (news === 'gap') {
      this.#invalidations.addGap();
      this.#gaps.push({ sequence: this.sequence, knownUntil: this.#knownUntil });
      if (this.#gaps.length > mostGaps) this.#trustedFrom = this.#gaps.shift()?.sequence ?? this.sequence;
      onNews(news);
      return;
    }
    for (const each of news) {
      if (each.type === 'clear') this.addAll();
      else this.add(each.type === 'tags' ? each.tags : each.keys);
      onNews(each);
    }
  }

  /** After the news were taken: a gap that nobody has asked about yet is not covered by what is known since. */
  #look(): void {
    const { store, now, staleWindowMs } = this.#options;
    const silentMs = store?.silentMs ?? 0;
    this.#lookAt = now() + betweenLooksMs;
    this.#knownUntil = now() - silentMs;
    this.#isSilent = silentMs > staleWindowMs;
  }
}

function beganAt({ storedAt, computeMs }: MemoryEntry): number {
  return storedAt - computeMs;
}
