import type { Clock } from '../../kernel/index.js';
import type { Amounts, Dimension } from '../dimensions.js';
import type { StoreTake, StoreVerdict } from '../store.js';
import type { DebtBatch } from './debt.js';
import { halves, type Moment, type StoreCharge } from './own-record.js';
import type { SharedKey } from './shared-keys.js';
import type { StoreCall } from './store-call.js';

export interface AccountCallsOptions {
  readonly limiter: string;
  readonly dimensions: readonly Dimension[];
  readonly call: StoreCall;
  readonly clock: Clock;
  /** A debt that has to be told has come up, or has come back. */
  readonly onOwing: (key: SharedKey) => void;
  readonly onDebtTold: () => void;
}

export interface Ask {
  /** Default: now. */
  readonly sent?: Moment;
  readonly limits?: Amounts | undefined;
  readonly lease?: StoreTake['lease'] | undefined;
  readonly penalise?: boolean;
  readonly timeoutMs?: number;
  readonly background?: boolean;
  readonly more?: readonly Amounts[];
}

export interface StoreAnswer {
  readonly verdict: StoreVerdict;
  /** When it came. */
  readonly moment: Moment;
}

/**
 * The calls about one account, with all that has to go with them: what this process has had, what it owes. What comes too late
 * is given back at once; what nobody knows the outcome of is decided on the side that spends less.
 */
export class AccountCalls {
  readonly #options: AccountCallsOptions;
  /** The calendar alone needs the time of day. */
  readonly #hasCalendar: boolean;

  constructor(options: AccountCallsOptions) {
    this.#options = options;
    this.#hasCalendar = options.dimensions.some(({ kind }) => kind === 'calendar');
  }

  moment(): Moment {
    const { clock } = this.#options;
    return { now: clock.now(), wall: this.#hasCalendar ? clock.wall() : 0 };
  }

  /** @returns what the store has said in time; undefined when it could not be asked */
  async take(key: SharedKey, amounts: Amounts, ask: Ask = {}): Promise<StoreAnswer | undefined> {
    const { limiter, dimensions, call } = this.#options;
    const { limits, lease, penalise = false, timeoutMs, background, more } = ask;
    const sent = ask.sent ?? this.moment();
    const debt = key.debt.send(sent);
    const { own, since } = key.own.evidence(sent);
    const owed = debt?.amounts;
    let isRestored = false;
    const outcome = await call.attempt(
      'take',
      (store, signal) =>
        store.take({
          limiter,
          key: key.key,
          dimensions,
          amounts,
          limits,
          debt: owed,
          own,
          since,
          lease,
          penalise,
          more,
          signal,
        } as StoreTake),
      {
        ...(timeoutMs !== undefined && { timeoutMs }),
        ...(background !== undefined && { background }),
        late: (verdict) => {
          if (debt && !isRestored) this.#told(key, debt, verdict);
          const late = charged(verdict, amounts, more, false); // what was a penalty stays
          if (late) this.#giveBack(key, late, verdict, lease?.id);
        },
        lost: () => {
          if (!debt) return;
          isRestored = true;
          key.debt.restore(debt.batch, this.moment());
          this.#options.onOwing(key);
        },
      },
    );
    if (!outcome) return undefined;
    const verdict = outcome.value;
    const moment = this.moment();
    key.own.hear(verdict.more?.at(-1) ?? verdict, limits, moment);
    if (debt) this.#told(key, debt, verdict);
    const had = charged(verdict, amounts, more, penalise);
    if (had) key.own.charge(had, moment);
    return { verdict, moment };
  }

  /** Refunds that the store does not hear of are lost; what is owed becomes a debt. */
  async settle(key: SharedKey, charge: StoreCharge, corrections: Amounts, leaseId?: string): Promise<void> {
    const { limiter, dimensions, call, onOwing } = this.#options;
    const { back, owed } = halves(corrections);
    if (!back && !owed && leaseId === undefined) return;
    if (back) key.own.refund(back, charge.moment, this.moment());
    const { at, generation } = charge;
    const request = { limiter, key: key.key, dimensions, at, generation, corrections };
    let isOwed = false;
    const settled = (): void => {
      if (owed && !isOwed) key.own.charge(owed, this.moment());
    };
    const outcome = await call.attempt(
      'settle',
      (store, signal) => store.settle({ ...request, signal, ...(leaseId !== undefined && { leaseId }) }),
      {
        background: true,
        late: settled,
        lost: () => {
          if (!owed) return;
          isOwed = true;
          key.debt.add(owed, this.moment());
          onOwing(key);
        },
      },
    );
    if (outcome) settled();
  }

  extend(key: SharedKey, leaseId: string, ttlMs: number): void {
    const { limiter, dimensions, call } = this.#options;
    const request = { limiter, key: key.key, dimensions, leaseId, ttlMs };
    void call.attempt('extend', (store, signal) => store.extend({ ...request, signal }), { background: true });
  }

  #told(
    key: SharedKey,
    { batch, amounts }: { readonly batch: DebtBatch; readonly amounts: Amounts },
    { at, generation }: StoreVerdict,
  ): void {
    const moment = this.moment();
    batch.told = { at, generation, moment };
    key.own.charge(amounts, moment);
    this.#options.onDebtTold();
  }

  /** The caller has been given another answer meanwhile. The store has just been heard, so it is told even in a pause. */
  #giveBack(key: SharedKey, amounts: Amounts, { at, generation }: StoreVerdict, leaseId: string | undefined): void {
    const { limiter, dimensions, call } = this.#options;
    const corrections = amounts.map((amount, index) => (dimensions[index]?.kind === 'concurrency' ? 0 : -amount));
    const request = { limiter, key: key.key, dimensions, at, generation, corrections };
    void call.attempt(
      'settle',
      (store, signal) => store.settle({ ...request, signal, ...(leaseId !== undefined && { leaseId }) }),
      { background: true, despitePause: true },
    );
  }
}

/** What the store has charged in all. */
function charged(
  verdict: StoreVerdict,
  amounts: Amounts,
  more: readonly Amounts[] | undefined,
  penalise: boolean,
): Amounts | undefined {
  if (more === undefined || more.length === 0) return verdict.ok || penalise ? amounts : undefined;
  const sum = amounts.map((amount) => (verdict.ok || penalise ? amount : 0));
  for (const [turn, each] of more.entries()) {
    if (!verdict.more?.[turn]?.ok && !penalise) continue;
    for (let index = 0; index < sum.length; index++) sum[index] = (sum[index] as number) + (each[index] as number);
  }
  return sum.some((amount) => amount > 0) ? sum : undefined;
}
