import type { Clock, Random } from '../src/kernel/index.js';

/** What the network does to one process. Chances are from 0 to 1, for each call or message; times in milliseconds. */
export interface NetworkFaults {
  /** One way, at least and at most. */
  readonly delayMs: readonly [number, number];
  /** A call does not reach the server, and fails. */
  readonly fails: number;
  /** A call is never answered; whether it was executed is as likely as not. */
  readonly hangs: number;
  /** The connection breaks when a call has been executed. */
  readonly cuts: number;
  /** A message does not come. */
  readonly loses: number;
  /** A message comes twice, the second time late. */
  readonly duplicates: number;
  /** A message comes late, after others that were sent after it. */
  readonly delays: number;
  readonly lateMs: readonly [number, number];
  /** How long until a connection that was lost is there again, if the server is. */
  readonly reconnectMs: readonly [number, number];
  /** How long until the process learns that it has lost its subscription. */
  readonly unawareMs: readonly [number, number];
}

export const noFaults: NetworkFaults = {
  delayMs: [0.2, 2],
  fails: 0,
  hangs: 0,
  cuts: 0,
  loses: 0,
  duplicates: 0,
  delays: 0,
  lateMs: [5, 500],
  reconnectMs: [10, 500],
  unawareMs: [0, 0],
};

export interface LinkOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly faults: () => NetworkFaults;
}

/** What the server does with a call that arrives: it runs it at once, later or never. */
export type Receive = (run: () => void) => void;

export function between(random: Random, [least, most]: readonly [number, number]): number {
  return least + random() * (most - least);
}

/** One connection of a process to a server: what is sent arrives in order, and so do the answers. */
export class SimulatedLink {
  readonly #options: LinkOptions;
  readonly #receive: Receive;
  readonly #onCut: () => void;
  readonly #unanswered = new Set<(error: Error) => void>();
  #arrivedAt = 0;
  #answeredAt = 0;
  #cutAt = Number.POSITIVE_INFINITY;

  constructor(options: LinkOptions, receive: Receive, onCut: () => void) {
    this.#options = options;
    this.#receive = receive;
    this.#onCut = onCut;
  }

  get isUp(): boolean {
    return this.#cutAt === Number.POSITIVE_INFINITY;
  }

  /** @param execute what the server does: it answers, or throws what it answers instead */
  call<T>(execute: () => T, signal: AbortSignal): Promise<T> {
    const { clock, random, faults } = this.#options;
    const { fails, hangs, cuts } = faults();
    const chance = random();
    return new Promise<T>((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (!this.isUp) return reject(new Error('There is no connection.'));
      if (chance < fails) return reject(new Error('The call could not be sent.'));
      const isHung = chance - fails < hangs;
      const isCut = !isHung && chance - fails - hangs < cuts;
      const settle = (end: () => void): void => {
        if (!this.#unanswered.delete(fail)) return;
        signal.removeEventListener('abort', onAbort);
        end();
      };
      const fail = (error: Error): void => settle(() => reject(error));
      const onAbort = (): void => settle(() => reject(signal.reason));
      this.#unanswered.add(fail);
      signal.addEventListener('abort', onAbort);

      const run = (): void => {
        if (isHung && random() < 0.5) return;
        const answer = attempt(execute, resolve, reject);
        if (isCut) this.cut();
        else if (!isHung) clock.schedule(this.#answerIn(), () => settle(answer));
      };
      clock.schedule(this.#arriveIn(), () => {
        if (clock.now() <= this.#cutAt) this.#receive(run);
      });
    });
  }

  /** What is on its way may still arrive, up to some point; nothing is answered. */
  cut(): void {
    if (!this.isUp) return;
    const { clock, random, faults } = this.#options;
    this.#cutAt = clock.now() + random() * faults().delayMs[1];
    for (const fail of this.#unanswered) fail(new Error('The connection was lost.'));
    this.#onCut();
  }

  #arriveIn(): number {
    const { clock, random, faults } = this.#options;
    this.#arrivedAt = Math.max(this.#arrivedAt, clock.now() + between(random, faults().delayMs));
    return this.#arrivedAt - clock.now();
  }

  #answerIn(): number {
    const { clock, random, faults } = this.#options;
    this.#answeredAt = Math.max(this.#answeredAt, clock.now() + between(random, faults().delayMs));
    return this.#answeredAt - clock.now();
  }
}

function attempt<T>(execute: () => T, resolve: (value: T) => void, reject: (error: unknown) => void): () => void {
  try {
    const value = execute();
    return () => resolve(value);
  } catch (error) {
    return () => reject(error);
  }
}
