import type { Shape } from './shape.js';

/** An account, and until when it holds places for which leases, on the clock of this process. */
export interface HeldAccount {
  readonly shape: Shape;
  readonly keys: readonly string[];
  readonly expiresAt: Map<string, number>;
}

const fewest = 1_000;

/** The places that this process holds, for a server that may have lost them. Of leases that nobody settles few are kept. */
export class HeldPlaces {
  readonly #accounts = new Map<string, HeldAccount>();
  #size = 0;
  #sweepAt = fewest;

  /** How many are kept, those included that have expired unseen. */
  get size(): number {
    return this.#size;
  }

  add(shape: Shape, keys: readonly string[], leaseId: string, expiresAt: number, now: number): void {
    const [name = ''] = keys;
    const account = this.#accounts.get(name) ?? { shape, keys, expiresAt: new Map() };
    this.#accounts.set(name, account);
    if (!account.expiresAt.has(leaseId)) this.#size++;
    account.expiresAt.set(leaseId, expiresAt);
    if (this.#size < this.#sweepAt) return;
    this.held(now);
    this.#sweepAt = Math.max(fewest, 2 * this.#size);
  }

  release(keys: readonly string[], leaseId: string): void {
    const [name = ''] = keys;
    const account = this.#accounts.get(name);
    if (!account?.expiresAt.delete(leaseId)) return;
    this.#size--;
    if (account.expiresAt.size === 0) this.#accounts.delete(name);
  }

  /** Without those that have expired. Looks at all of them. */
  held(now: number): readonly HeldAccount[] {
    for (const { keys, expiresAt } of this.#accounts.values())
      for (const [leaseId, at] of expiresAt) if (at <= now) this.release(keys, leaseId);
    return [...this.#accounts.values()];
  }
}
