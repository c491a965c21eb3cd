import {
  type Clock,
  deadlineError,
  type LinkedAbort,
  linkAbort,
  type Random,
  type Timer,
  untilAborted,
  WarmpathError,
} from '../../kernel/index.js';
import type { NodeClient, NodeCommandOptions } from './node-client.js';

export interface RedisConnectionOptions {
  /** A client that is not connected, to where the server is now. The signal ends its socket. */
  readonly open: (signal: AbortSignal) => Promise<NodeClient>;
  /** Runs on each new connection before it is used; if it fails, the connection is given up. */
  readonly greet: (client: NodeClient) => Promise<void>;
  readonly onLost?: () => void;
  readonly clock: Clock;
  readonly random: Random;
}

/** To connect, and then to greet. */
const greetWithinMs = 5_000;
const firstRetryMs = 50;
const longestRetryMs = 2_000;
/** A server that owes an answer and has not said a word for so long counts as lost: the network need not tell. */
const silentForMs = 5_000;
const closeWithinMs = 1_000;

/**
 * A connection that is made anew whenever it is lost, in the background and for as long as it takes. What is sent while there
 * is none fails at once, and so does what is unanswered when it is lost: nothing is ever sent twice or later. Only what is
 * sent before the first attempt has ended waits for it.
 */
export class RedisConnection {
  /** Resolves when the first attempt has ended, in whichever way. */
  readonly firstAttempt: Promise<void>;
  readonly #options: RedisConnectionOptions;
  /** In use: connected and greeted. */
  #client: NodeClient | undefined;
  /** What senders wait for where there is no client: the first attempt, or a greeting. */
  #awaited: Promise<NodeClient> | undefined;
  /** Connected, greeted or not. */
  #connected: Promise<NodeClient>;
  #link: LinkedAbort | undefined;
  #retry: Timer | undefined;
  #retries = 0;
  #error: unknown;
  #unanswered = 0;
  #heardAt = 0;
  #isClosed = false;

  constructor(options: RedisConnectionOptions) {
    this.#options = options;
    this.#connected = this.#connect();
    const greeted = this.#connected.then((client) => this.#greet(client, options.greet));
    this.#await(greeted);
    this.firstAttempt = greeted.then(
      () => {},
      () => {},
    );
  }

  /** @param isEarly sent by a greeting, for which it does not wait */
  send(args: readonly (string | Buffer)[], options: NodeCommandOptions, isEarly = false): Promise<unknown> {
    if (this.#client) return this.#send(this.#client, args, options);
    const awaited = isEarly ? this.#connected : this.#awaited;
    if (!awaited) return Promise.reject(this.#absence());
    return awaited.then((client) => {
      options.abortSignal?.throwIfAborted();
      return this.#send(client, args, options);
    });
  }

  /** Greets once more: what is sent from now on waits for it. The next connection is greeted as always. */
  greetAgain(greet: (client: NodeClient) => Promise<void>): void {
    const present = this.#client ? Promise.resolve(this.#client) : this.#awaited;
    if (!present) return;
    this.#client = undefined;
    this.#await(present.then((client) => this.#greet(client, greet)));
  }

  /** Makes it anew, elsewhere if that is where it has to go now. */
  renew(why: string): void {
    if (this.#client) this.#lose(new Error(why));
  }

  /** Waits a moment for what is unanswered. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#retry?.cancel();
    if (this.#client && this.#unanswered > 0) await this.#drain(this.#client);
    this.#client = undefined;
    this.#link?.abort(closedError());
  }

  /** Answers come in order. */
  async #drain(client: NodeClient): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#options.clock.schedule(closeWithinMs, resolve);
    client.sendCommand(['PING']).then(
      () => resolve(),
      () => resolve(),
    );
    await promise;
    timer.cancel();
  }

  #await(awaited: Promise<NodeClient>): void {
    this.#awaited = awaited;
    awaited.then(
      (client) => {
        if (this.#awaited !== awaited) return;
        this.#awaited = undefined;
        this.#client = client;
        this.#retries = 0;
      },
      (error: unknown) => {
        if (this.#awaited === awaited) this.#lose(error);
      },
    );
  }

  async #connect(): Promise<NodeClient> {
    const link = linkAbort({});
    this.#link = link;
    return this.#inTime(link, async () => {
      const client = await this.#options.open(link.signal);
      link.signal.addEventListener('abort', () => {
        if (client.isOpen) client.destroy();
      });
      client.on('error', (error) => {
        if (client === this.#client) this.#lose(error);
      });
      link.signal.throwIfAborted();
      await client.connect();
      return client;
    });
  }

  async #greet(client: NodeClient, greet: (client: NodeClient) => Promise<void>): Promise<NodeClient> {
    const link = this.#link;
    if (link) await this.#inTime(link, () => greet(client));
    if (!client.isOpen) throw new Error('the connection was closed');
    return client;
  }

  async #inTime<T>(link: LinkedAbort, work: () => Promise<T>): Promise<T> {
    const late = (): void => link.abort(deadlineError('A connection to Redis', greetWithinMs));
    const timer = this.#options.clock.schedule(greetWithinMs, late, { background: true });
    try {
      return await untilAborted(work(), link.signal);
    } finally {
      timer.cancel();
    }
  }

  #send(client: NodeClient, args: readonly (string | Buffer)[], options: NodeCommandOptions): Promise<unknown> {
    const now = this.#options.clock.now();
    if (this.#unanswered === 0) this.#heardAt = now;
    else if (now - this.#heardAt > silentForMs && client === this.#client) {
      this.#lose(new Error(`it has not answered for ${silentForMs} ms`));
      return Promise.reject(this.#absence());
    }
    this.#unanswered++;
    const answer = client.sendCommand(args, options);
    answer.then(this.#onAnswer, this.#onAnswer);
    return answer;
  }

  readonly #onAnswer = (): void => {
    this.#unanswered--;
    this.#heardAt = this.#options.clock.now();
  };

  #lose(error: unknown): void {
    this.#client = undefined;
    this.#awaited = undefined;
    this.#error = error;
    this.#link?.abort(error);
    if (this.#isClosed) return;
    const { clock, random, onLost } = this.#options;
    const stepMs = Math.min(longestRetryMs, firstRetryMs * 2 ** this.#retries++);
    this.#retry = clock.schedule(stepMs * (0.5 + random() / 2), () => this.#connectAgain(), { background: true });
    onLost?.();
  }

  #connectAgain(): void {
    const connected = this.#connect();
    this.#connected = connected;
    connected.then(
      (client) => this.#await(this.#greet(client, this.#options.greet)),
      (error: unknown) => this.#lose(error),
    );
  }

  #absence(): Error {
    if (this.#isClosed) return closedError();
    const why = this.#error instanceof Error ? this.#error.message || this.#error.name : String(this.#error);
    return new Error(`There is no connection to Redis: ${why}`, { cause: this.#error });
  }
}

function closedError(): WarmpathError {
  return new WarmpathError('WP_CLOSED', 'The Redis store was used after it had been closed.');
}
