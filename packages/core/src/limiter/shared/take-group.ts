import type { Amounts } from '../dimensions.js';
import type { AccountCalls, StoreAnswer } from './account-calls.js';
import type { SharedKey } from './shared-keys.js';

/** As many as the store is asked for at a time. */
const mostTogether = 64;

type Resolve = (answer: StoreAnswer | undefined) => void;

/** Takes of one turn of the event loop for one key: one question to the store, with one deadline, however many they are. */
export class TakeGroup {
  readonly #amounts: Amounts[] = [];
  readonly #resolves: Resolve[] = [];

  get isFull(): boolean {
    return this.#amounts.length >= mostTogether;
  }

  join(amounts: Amounts): Promise<StoreAnswer | undefined> {
    return new Promise((resolve) => {
      this.#amounts.push(amounts);
      this.#resolves.push(resolve);
    });
  }

  async ask(calls: AccountCalls, key: SharedKey, timeoutMs: number, penalise: boolean): Promise<void> {
    const [first = [], ...more] = this.#amounts;
    const answer = await calls.take(key, first, { ...(more.length > 0 && { more }), timeoutMs, penalise });
    for (const [turn, resolve] of this.#resolves.entries()) {
      const verdict = turn === 0 ? answer?.verdict : answer?.verdict.more?.[turn - 1];
      resolve(answer && verdict && { verdict, moment: answer.moment });
    }
  }
}
