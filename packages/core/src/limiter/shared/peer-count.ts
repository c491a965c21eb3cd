import type { Clock, Random, Timer } from '../../kernel/index.js';
import type { StoreCall } from './store-call.js';

const everyMs = 1_000;
/** Heartbeats of processes that were started together spread by this part of their interval. */
const spread = 0.1;
const idleAfterMs = 10_000;

export interface PeerCountOptions {
  readonly call: StoreCall;
  readonly clock: Clock;
  readonly random: Random;
  /** Whether something waits for the store to come back, so that it is asked though nobody else does. */
  readonly isNeeded: () => boolean;
  /** The store has just answered. */
  readonly onAlive: () => void;
}

/**
 * How many processes share the store: asked about once a second while this one uses it, in the background, so that it is
 * known when the store goes away. It is also what tries a store that is left alone, in the place of somebody who waits.
 */
export class PeerCount {
  readonly #options: PeerCountOptions;
  #count = 1;
  #usedAt = 0;
  #timer: Timer | undefined;
  #isAsking = false;
  #isClosed = false;

  constructor(options: PeerCountOptions) {
    this.#options = options;
  }

  /** The last that was heard, this one included; 1 when nothing was. */
  get count(): number {
    return this.#count;
  }

  /** The store is in use: heartbeats go on for a while. */
  touch(now: number): void {
    this.#usedAt = now;
    if (!this.#timer && !this.#isAsking && !this.#isClosed) void this.#ask();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  async #ask(): Promise<void> {
    const { call, clock, onAlive, isNeeded } = this.#options;
    this.#isAsking = true;
    const answer = await call.attempt('peers', (store, signal) => store.peers(signal), { background: true });
    this.#isAsking = false;
    if (this.#isClosed) return;
    if (answer) {
      this.#count = Math.max(1, Math.floor(answer.value) || 1);
      onAlive();
    }
    if (clock.now() - this.#usedAt >= idleAfterMs && !isNeeded()) return;
    this.#schedule();
  }

  #schedule(): void {
    const { clock, random } = this.#options;
    const inMs = everyMs * (1 + spread * (2 * random() - 1));
    this.#timer = clock.schedule(
      inMs,
      () => {
        this.#timer = undefined;
        void this.#ask();
      },
      { background: true },
    );
  }
}
