import type { Clock, Random, RedisPort, RedisSubscriber, RedisValue, Script } from '../../kernel/index.js';
import type { NodeClient } from './node-client.js';
import { operandsOf, Preparations, RedisServer } from './redis-server.js';
import { RedisSubscriptions } from './redis-subscriptions.js';

export interface SinglePortOptions {
  /** A client, not connected, to the server that is in charge now: the only one, or the one that a Sentinel names. */
  readonly open: (signal: AbortSignal) => Promise<NodeClient>;
  readonly clock: Clock;
  readonly random: Random;
}

/** One server at a time has everything. */
export class SinglePort implements RedisPort {
  readonly isCluster = false;
  readonly #preparations = new Preparations();
  readonly #server: RedisServer;
  readonly #subscriptions: RedisSubscriptions;

  constructor(options: SinglePortOptions) {
    this.#server = new RedisServer({ ...options, preparations: this.#preparations });
    this.#subscriptions = new RedisSubscriptions(options);
  }

  getMany(keys: readonly string[]): Promise<readonly (Buffer | null)[]> {
    return this.#server.send(['MGET', ...keys]) as Promise<readonly (Buffer | null)[]>;
  }

  run(
    script: Script,
    keys: readonly string[],
    args: readonly (string | Buffer)[],
    signal: AbortSignal,
  ): Promise<RedisValue> {
    return this.#server.run(script, operandsOf(keys, args), signal);
  }

  subscribe(channel: string, subscriber: RedisSubscriber): () => void {
    return this.#subscriptions.subscribe(channel, subscriber);
  }

  onServer(prepare: Parameters<RedisPort['onServer']>[0]): void {
    this.#preparations.all.add(prepare);
    this.#server.prepare(prepare);
  }

  async close(): Promise<void> {
    await Promise.all([this.#server.close(), this.#subscriptions.close()]);
  }
}
