import { setTimeout as pause } from 'node:timers/promises';
import { createHttpPool, type HttpPool, type HttpPoolOptions } from '@warmpath/core/http';
import { isWarmpathError, runInContext, seededRandom } from '@warmpath/core/kernel';
import { createAttemptBudget, type Policy, retry } from '@warmpath/core/retry';
import { createFakeClock, type FakeClock } from '@warmpath/core/testing';

export const ways = ['request', 'fetch', 'stream'] as const;
export type Way = (typeof ways)[number];
export type Method = 'GET' | 'POST';

/** The server that is asked: how many requests it has read. */
export interface Asked {
  readonly url: string;
  readonly counts: { readonly requests: number };
}

export interface Outcome {
  /** The status and what came, or the code and the phase of an error. */
  readonly seen: string;
  readonly error: unknown;
  /** On the clock that the pool and the retry were given. */
  readonly tookMs: number;
}

/** What a request may take where the server hangs. */
const limitMs = 1_000;

/** A pool on a clock that stands still while sockets work, and the ways to ask over it. */
export class ChaosClient {
  readonly pool: HttpPool;
  readonly retry: Policy;
  readonly #clock: FakeClock = createFakeClock(Date.UTC(2026, 2, 1, 10));
  readonly #server: Asked;

  constructor(server: Asked, options: HttpPoolOptions = {}) {
    const clock = this.#clock;
    this.#server = server;
    this.pool = createHttpPool({ name: 'chaos', baseUrl: server.url, clock, ...options });
    this.retry = retry({
      attempts: 3,
      timeout: limitMs,
      clock,
      random: seededRandom(7),
      budget: createAttemptBudget({ clock, perSecond: 1_000 }),
    });
  }

  /** One call, with a deadline of 1 s; `hangs` says that time passes while the server has it. */
  alone(way: Way, method: Method, hangs: boolean = false): Promise<Outcome> {
    const deadline = this.#clock.now() + limitMs;
    return this.#outcomeOf(
      runInContext({ deadline }, () => this.#ask(way, method)),
      hangs,
    );
  }

  /** The same under three attempts, each of 1 s, with the waits between them. */
  retried(way: Way, method: Method, hangs: boolean = false): Promise<Outcome> {
    return this.#outcomeOf(
      this.retry(({ signal }) => this.#ask(way, method, signal)),
      hangs,
    );
  }

  /** Reads the response to its end. */
  async #ask(way: Way, method: Method, signal?: AbortSignal): Promise<string> {
    const init = { method, signal, ...(method === 'POST' && { body: 'question' }) };
    if (way === 'request') {
      const response = await this.pool.request('/', init);
      return `${response.status} ${response.text()}`;
    }
    if (way === 'fetch') {
      const response = await this.pool.fetch('/', { ...init, signal: signal ?? null });
      return `${response.status} ${await response.text()}`;
    }
    const { status, body } = await this.pool.stream('/', init);
    let text = '';
    for await (const piece of body) text += Buffer.from(piece).toString('latin1');
    return `${status} ${text}`;
  }

  async #outcomeOf(asked: Promise<string>, hangs: boolean): Promise<Outcome> {
    const began = this.#clock.now();
    const before = this.pool.stats().sent - this.#server.counts.requests;
    const outcome = asked.then(
      (seen) => ({ seen: seen.trim(), error: undefined }),
      (error: unknown) => ({ seen: said(error), error }),
    );
    let isOver = false;
    void outcome.then(() => {
      isOver = true;
    });
    while (!isOver) {
      await pause(1);
      if (isOver) break;
      const { inFlight, sent } = this.pool.stats();
      // Sockets work in real time, so the clock moves on only where nobody waits for one.
      const isWaiting = inFlight === 0 || (hangs && this.#server.counts.requests >= sent - before);
      if (isWaiting) await this.#clock.advance(100);
    }
    return { ...(await outcome), tookMs: this.#clock.now() - began };
  }
}

/** As in `WP_HTTP_FAILED sent`; what `fetch` throws has it as its cause. */
export function said(error: unknown): string {
  if (isWarmpathError(error)) {
    const { phase, status } = error.details as { readonly phase?: string; readonly status?: number };
    return [error.code, phase, status].filter((part) => part !== undefined).join(' ');
  }
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? `${error.name}: ${error.message}` : `${error.name} < ${said(error.cause)}`;
}
