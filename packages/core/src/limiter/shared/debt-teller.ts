import type { Dimension } from '../dimensions.js';
import type { AccountCalls } from './account-calls.js';
import type { SharedKey } from './shared-keys.js';

/** Calls under way at a time: recovery must not be what the store suffers from next. */
const mostAtOnce = 4;
const prunedAtOnce = 1_000;

/** Tells the store what is owed by keys that nobody asks for again soon. */
export class DebtTeller {
  readonly #calls: AccountCalls;
  readonly #nothing: readonly number[];
  readonly #onTold: (keys: number) => void;
  readonly #owing = new Set<SharedKey>();
  #told = 0;
  #isTelling = false;

  /** @param onTold hears how many were told: those of one round together */
  constructor(calls: AccountCalls, dimensions: readonly Dimension[], onTold: (keys: number) => void) {
    this.#calls = calls;
    this.#nothing = dimensions.map(() => 0);
    this.#onTold = onTold;
  }

  get hasDebts(): boolean {
    return this.#owing.size > 0;
  }

  isOwing(key: SharedKey): boolean {
    return this.#owing.has(key);
  }

  add(key: SharedKey): void {
    this.#owing.add(key);
  }

  forget(key: SharedKey): void {
    this.#owing.delete(key);
  }

  /** One of them was told, here or along with a request. */
  told(): void {
    if (this.#isTelling) this.#told++;
    else this.#onTold(1);
  }

  /** Drops what counts no more, so that an outage without an end leaves nothing behind. Looks at some, others next time. */
  prune(): void {
    const moment = this.#calls.moment();
    let left = Math.min(this.#owing.size, prunedAtOnce);
    for (const key of this.#owing) {
      if (left-- === 0) return;
      this.#owing.delete(key);
      if (key.debt.owed(moment)) this.#owing.add(key); // behind the others
    }
  }

  /** All that are owing now, a few at a time, until the store fails. */
  async tell(): Promise<void> {
    if (this.#isTelling || this.#owing.size === 0) return;
    this.#isTelling = true;
    const keys = [...this.#owing].values();
    const tellSome = async (): Promise<void> => {
      for (const key of keys) {
        if (!key.debt.owed(this.#calls.moment())) this.#owing.delete(key);
        else if (!(await this.#calls.take(key, this.#nothing, { background: true }))) return;
      }
    };
    await Promise.all(Array.from({ length: mostAtOnce }, tellSome));
    this.#isTelling = false;
    if (this.#told > 0) this.#onTold(this.#told);
    this.#told = 0;
  }
}
