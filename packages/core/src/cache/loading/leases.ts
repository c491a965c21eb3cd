import { randomUUID } from 'node:crypto';
import type { Timer } from '../../kernel/index.js';
import type { ResolvedCacheOptions } from '../options.js';
import type { Place } from '../place.js';
import type { Beginning, Leased, Tiers } from '../tiers.js';

/** Ends of others' computations that left no value: past them it is computed here, whoever else does so. */
const mostEndsWaitedFor = 2;
/** Where computations have no time limit of their own. */
const longestWaitMs = 60_000;
/** Others say when they are done; this is for when they or their word are lost. */
const firstLookMs = 50;
const longestLookMs = 1_000;
/** A lease outlives this many renewals that are lost in a row. */
const renewalsPerLease = 3;

/** Leases that were asked for in one go. */
export interface Turn extends Leased {
  readonly token: string;
}

/** A lease while its place is computed. */
export interface Hold {
  /** Idempotent. */
  release(): void;
}

/** One wait for what somebody else computes. */
export interface Wait {
  readonly since: number;
  /** How often another look was taken. */
  readonly looks: number;
  /** How often the others came to an end, as far as they said so. */
  readonly ends: number;
}

/** Hears when others are done with some places. It begins before the leases are asked for, so that no word is missed. */
export interface Watch {
  readonly changed: Promise<void>;
  end(): void;
}

/** Single flight across all who share the store: who computes, for how long the others wait, and what wakes them. */
export class Leases {
  readonly #options: ResolvedCacheOptions;
  readonly #tiers: Tiers;
  readonly #holder = randomUUID();
  #turns = 0;

  constructor(options: ResolvedCacheOptions, tiers: Tiers) {
    this.#options = options;
    this.#tiers = tiers;
  }

  /**
   * Undefined when everybody computes: the store has no leases, or cannot be asked.
   * @param askedAt since when somebody waits for the store: one deadline holds for all that it is asked
   */
  async acquire(places: readonly Place[], beginning: Beginning, askedAt: number): Promise<Turn | undefined> {
    const { clock, storeTimeoutMs } = this.#options;
    const leftMs = storeTimeoutMs - (clock.now() - askedAt);
    if (leftMs <= 0) return undefined;
    const token = `${this.#holder}.${++this.#turns}`;
    const leased = await this.#tiers.acquire(places, beginning, token, leftMs);
    return leased && { ...leased, token };
  }

  /** Keeps a lease alive while its place is computed. */
  hold(place: Place, { token, ttlMs }: Turn, signal: AbortSignal): Hold {
    const { clock } = this.#options;
    let timer: Timer | undefined;
    const renewLater = (): void => {
      const renew = (): void => {
        this.#tiers.renew([place], token);
        renewLater();
      };
      timer = clock.schedule(ttlMs / renewalsPerLease, renew, { background: true });
    };
    const release = (): void => {
      if (!timer) return;
      timer.cancel();
      timer = undefined;
      signal.removeEventListener('abort', release);
      this.#tiers.release([place], token);
    };
    renewLater();
    // What nobody waits for any more is not kept, though it may go on for long.
    if (signal.aborted) release();
    else signal.addEventListener('abort', release, { once: true });
    return { release };
  }

  watch(places: readonly Place[]): Watch {
    const { promise: changed, resolve } = Promise.withResolvers<void>();
    const watches = places.map((place) => this.#tiers.watch(place, resolve));
    return {
      changed,
      end: () => {
        for (const end of watches) end?.();
      },
    };
  }

  beginWait(): Wait {
    return { since: this.#options.clock.now(), looks: 0, ends: 0 };
  }

  /** An upstream that can be reached must not be made unreachable by somebody else's lease. */
  mayWait({ since, ends }: Wait): boolean {
    const { clock, hardTimeoutMs = longestWaitMs } = this.#options;
    return ends < mostEndsWaitedFor && clock.now() - since < hardTimeoutMs;
  }

  /** Until another look may be worth it: the holder is done, long enough has passed, or everybody has left. */
  async wait({ changed }: Watch, { since, looks, ends }: Wait, signal: AbortSignal): Promise<Wait> {
    const { clock, random } = this.#options;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const lookMs = Math.min(firstLookMs * 2 ** looks, longestLookMs);
    const timer = clock.schedule(lookMs * (1 - random() / 2), () => resolve(false));
    const onAbort = (): void => resolve(false);
    signal.addEventListener('abort', onAbort, { once: true });
    void changed.then(() => resolve(true));
    const isEnd = await promise;
    timer.cancel();
    signal.removeEventListener('abort', onAbort);
    return { since, looks: looks + 1, ends: ends + (isEnd ? 1 : 0) };
  }
}
