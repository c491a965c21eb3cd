import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import type { Dimension, LimiterStore, StoreTake, StoreVerdict } from '../limiter/index.js';

/** How a group of cases states one: a name that reads as a promise, and what must not throw. */
export type DeclareLimitsPromise = (name: string, keep: (store: LimitsProbe) => Promise<void>) => void;

export type DeclareLimitsPairPromise = (
  name: string,
  keep: (first: LimitsProbe, second: LimitsProbe) => Promise<void>,
) => void;

type TakeSample = Partial<Pick<StoreTake, 'limits' | 'debt' | 'own' | 'since' | 'lease' | 'penalise' | 'more'>>;

export interface LimitsProbeOptions {
  readonly dimensions: readonly Dimension[];
  readonly pass: (ms: number) => Promise<void>;
  readonly limiter?: string;
  readonly key?: string;
}

/** A store as the cases of its contract use it: one account. */
export class LimitsProbe {
  readonly store: LimiterStore;
  readonly #options: LimitsProbeOptions;

  constructor(store: LimiterStore, options: LimitsProbeOptions) {
    this.store = store;
    this.#options = options;
  }

  of(...dimensions: readonly Dimension[]): LimitsProbe {
    return new LimitsProbe(this.store, { ...this.#options, dimensions });
  }

  at(limiter: string, key: string): LimitsProbe {
    return new LimitsProbe(this.store, { ...this.#options, limiter, key });
  }

  pass(ms: number): Promise<void> {
    return this.#options.pass(ms);
  }

  async take(amounts: readonly number[], sample: TakeSample = {}): Promise<StoreVerdict> {
    const verdict = await this.store.take({ ...this.#account(), amounts, ...sample });
    const count = this.#options.dimensions.length;
    const { ok, remaining, resetMs, waitsMs } = verdict;
    deepStrictEqual([remaining.length, resetMs.length, waitsMs.length], [count, count, count], 'one of each dimension');
    strictEqual(verdict.waitMs, ok ? 0 : Math.max(...waitsMs), 'the wait is the longest of all');
    strictEqual(ok, verdict.waitMs === 0, 'who may not has to wait');
    return verdict;
  }

  /** Whether it was allowed. */
  async ok(amounts: readonly number[], sample?: TakeSample): Promise<boolean> {
    return (await this.take(amounts, sample)).ok;
  }

  async remaining(): Promise<readonly number[]> {
    return (await this.take(this.#options.dimensions.map(() => 0))).remaining.map((left) => Number(left.toFixed(6)));
  }

  settle({ at, generation }: StoreVerdict, corrections: readonly number[], leaseId?: string): Promise<void> {
    return this.store.settle({
      ...this.#account(),
      at,
      generation,
      corrections,
      ...(leaseId !== undefined && { leaseId }),
    });
  }

  extend(leaseId: string, ttlMs: number): Promise<boolean> {
    return this.store.extend({ ...this.#account(), leaseId, ttlMs });
  }

  #account(): Pick<StoreTake, 'limiter' | 'key' | 'dimensions' | 'signal'> {
    const { limiter = 'contract', key = 'key', dimensions } = this.#options;
    return { limiter, key, dimensions, signal: new AbortController().signal };
  }
}

export function windowOf(limit: number, windowMs: number, burst?: number): Dimension {
  return { kind: 'window', name: `${limit}/${windowMs}`, unit: 'requests', limit, windowMs, burst };
}

export function placesOf(limit: number): Dimension {
  return { kind: 'concurrency', name: 'concurrency', unit: 'concurrency', limit };
}

export function monthOf(limit: number): Dimension {
  return { kind: 'calendar', name: 'month', unit: 'requests', limit, per: 'month', timeZone: 'Asia/Tokyo' };
}
