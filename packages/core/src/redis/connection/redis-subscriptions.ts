import type { Clock, Random, RedisSubscriber, Timer } from '../../kernel/index.js';
import type { NodeClient } from './node-client.js';
import { RedisConnection } from './redis-connection.js';

export interface RedisSubscriptionsOptions {
  readonly open: (signal: AbortSignal) => Promise<NodeClient>;
  readonly clock: Clock;
  readonly random: Random;
}

interface Channel {
  readonly subscribers: Set<RedisSubscriber>;
  /** On this client it has been confirmed. */
  on: NodeClient | undefined;
}

/** Nobody sends anything on this connection, so whether it is still alive has to be asked. */
const pingEveryMs = 2_000;

/** One connection for all that is subscribed to, which there is as long as anything is. */
export class RedisSubscriptions {
  readonly #options: RedisSubscriptionsOptions;
  readonly #channels = new Map<string, Channel>();
  #connection: RedisConnection | undefined;
  #client: NodeClient | undefined;
  #ping: Timer | undefined;
  #isClosed = false;

  constructor(options: RedisSubscriptionsOptions) {
    this.#options = options;
  }

  subscribe(name: string, subscriber: RedisSubscriber): () => void {
    const channel = this.#channels.get(name);
    if (channel) {
      channel.subscribers.add(subscriber);
      if (channel.on) queueMicrotask(() => subscriber.onSubscribed());
    } else if (!this.#isClosed) this.#open(name, subscriber);
    return () => this.#leave(name, subscriber);
  }

  /** Subscribes anew, elsewhere if that is where it has to be done now. */
  renew(why: string): void {
    this.#connection?.renew(why);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#channels.clear();
    await this.#end();
  }

  #open(name: string, subscriber: RedisSubscriber): void {
    const channel = { subscribers: new Set([subscriber]), on: undefined };
    this.#channels.set(name, channel);
    if (!this.#connection) {
      const onLost = (): void => this.#onLost();
      this.#connection = new RedisConnection({ ...this.#options, greet: (client) => this.#greet(client), onLost });
      this.#pingLater();
    } else if (this.#client) {
      this.#listen(this.#client, name, channel).catch(() => {}); // it is lost, and will be subscribed to on the next one
    }
  }

  #leave(name: string, subscriber: RedisSubscriber): void {
    const channel = this.#channels.get(name);
    if (!channel?.subscribers.delete(subscriber) || channel.subscribers.size > 0) return;
    this.#channels.delete(name);
    if (this.#channels.size === 0) void this.#end();
    else this.#client?.unsubscribe(name).catch(() => {}); // it is lost, and will not be subscribed to on the next one
  }

  async #greet(client: NodeClient): Promise<void> {
    this.#client = client;
    await Promise.all(Array.from(this.#channels, ([name, channel]) => this.#listen(client, name, channel)));
  }

  async #listen(client: NodeClient, name: string, channel: Channel): Promise<void> {
    await client.subscribe(name, (text) => {
      if (client === this.#client) for (const subscriber of channel.subscribers) subscriber.onMessage(text);
    });
    if (client !== this.#client) return;
    channel.on = client;
    for (const subscriber of channel.subscribers) subscriber.onSubscribed();
  }

  #onLost(): void {
    this.#client = undefined;
    for (const channel of this.#channels.values()) {
      if (!channel.on) continue;
      channel.on = undefined;
      for (const subscriber of channel.subscribers) subscriber.onLost();
    }
  }

  #pingLater(): void {
    const ping = (): void => {
      this.#connection?.send(['PING'], {}).catch(() => {}); // there is no connection, which is known
      this.#pingLater();
    };
    this.#ping = this.#options.clock.schedule(pingEveryMs, ping, { background: true });
  }

  async #end(): Promise<void> {
    this.#ping?.cancel();
    this.#client = undefined;
    const connection = this.#connection;
    this.#connection = undefined;
    await connection?.close();
  }
}
