import type { Amounts, Verdict } from './dimensions.js';

/** What an account answers. Lists that it can do without are made when they are asked for. */
export class AccountVerdict implements Verdict {
  readonly ok: boolean;
  readonly binding: number;
  readonly waitMs: number;
  /** Of the dimension that binds, as `remaining` and `resetMs` have it. */
  readonly left: number;
  readonly leftResetMs: number;
  readonly #lists: AccountLists | undefined;

  private constructor(binding: number, waitMs: number, left: number, leftResetMs: number, lists?: AccountLists) {
    this.ok = waitMs === 0;
    this.binding = binding;
    this.waitMs = waitMs;
    this.left = left;
    this.leftResetMs = leftResetMs;
    this.#lists = lists;
  }

  /** Of an account with one dimension. */
  static ofOne(waitMs: number, left: number, resetMs: number): AccountVerdict {
    return new AccountVerdict(0, waitMs, left, resetMs);
  }

  static ofAll(binding: number, lists: AccountLists): AccountVerdict {
    const { remaining, resetMs, waitsMs } = lists;
    const waitMs = waitsMs === undefined ? 0 : (waitsMs[binding] as number);
    return new AccountVerdict(binding, waitMs, remaining[binding] as number, resetMs[binding] as number, lists);
  }

  get remaining(): Amounts {
    return this.#lists?.remaining ?? [this.left];
  }

  get resetMs(): Amounts {
    return this.#lists?.resetMs ?? [this.leftResetMs];
  }

  get waitsMs(): Amounts {
    if (this.#lists === undefined) return [this.waitMs];
    return this.#lists.waitsMs ?? this.#lists.remaining.map(() => 0);
  }
}

interface AccountLists {
  readonly remaining: Amounts;
  readonly resetMs: Amounts;
  /** Undefined where everything fits. */
  readonly waitsMs: Amounts | undefined;
}
