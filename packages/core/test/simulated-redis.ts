import type { Clock, Random, RedisPort, RedisSubscriber, RedisValue, Script } from '../src/kernel/index.js';
import { SimulatedConnection } from './simulated-connection.js';
import { type LinkOptions, type NetworkFaults, noFaults } from './simulated-link.js';
import { SimulatedServer } from './simulated-server.js';
import { SimulatedSubscription } from './simulated-subscription.js';

export interface SimulatedRedisOptions {
  readonly clock: Clock;
  /** All chance comes from here: the same numbers and the same calls give the same run. */
  readonly random: Random;
  /** More than one is a cluster, over which the slots are spread. */
  readonly servers?: number;
}

/**
 * A Redis in this process, on the time of a clock. It knows the scripts of the store by name and the commands of `RedisPort`,
 * and does what Redis, its clients and networks do to their users, and nothing else: connections keep their order, calls
 * that are cut may have been executed or be executed yet, messages get lost or come late, servers come back without what
 * they have confirmed.
 */
export class SimulatedRedis {
  readonly servers: readonly SimulatedServer[];
  readonly #options: SimulatedRedisOptions;

  constructor(options: SimulatedRedisOptions) {
    this.#options = options;
    const { clock, random, servers = 1 } = options;
    this.servers = Array.from({ length: servers }, () => new SimulatedServer(clock, random));
  }

  /** The connections of one process. */
  connect(faults: Partial<NetworkFaults> = {}): SimulatedPort {
    return new SimulatedPort(this, this.#options, faults);
  }

  serverOf(key: string): SimulatedServer {
    const index = this.servers.length === 1 ? 0 : hashOf(slotOf(key)) % this.servers.length;
    return this.servers[index] ?? unreachable();
  }
}

/** One process' way to the servers. */
export class SimulatedPort implements RedisPort {
  readonly isCluster: boolean;
  /** May be changed at any time. */
  faults: NetworkFaults;
  readonly #redis: SimulatedRedis;
  readonly #options: LinkOptions;
  readonly #connections: Map<SimulatedServer, SimulatedConnection>;
  readonly #subscriptions = new Set<SimulatedSubscription>();

  constructor(redis: SimulatedRedis, options: SimulatedRedisOptions, faults: Partial<NetworkFaults>) {
    this.isCluster = redis.servers.length > 1;
    this.faults = { ...noFaults, ...faults };
    this.#redis = redis;
    this.#options = { ...options, faults: () => this.faults };
    const connect = (server: SimulatedServer): SimulatedConnection => new SimulatedConnection(this.#options, server);
    this.#connections = new Map(redis.servers.map((server) => [server, connect(server)]));
  }

  async getMany(keys: readonly string[], signal: AbortSignal): Promise<(Buffer | null)[]> {
    if (!this.isCluster) return this.#getAll(keys, signal);
    const slots = Map.groupBy(keys, slotOf);
    const found = new Map<string, Buffer | null>();
    const ask = async (some: readonly string[]): Promise<void> => {
      const values = await this.#getAll(some, signal);
      for (const [index, key] of some.entries()) found.set(key, values[index] ?? null);
    };
    await Promise.all(Array.from(slots.values(), ask));
    return keys.map((key) => found.get(key) ?? null);
  }

  run(
    script: Script,
    keys: readonly string[],
    args: readonly (string | Buffer)[],
    signal: AbortSignal,
  ): Promise<RedisValue> {
    if (this.isCluster && new Set(keys.map(slotOf)).size > 1) {
      return Promise.reject(new Error("CROSSSLOT Keys in request don't hash to the same slot"));
    }
    const server = this.#redis.serverOf(keys[0] ?? '');
    return this.#call(server, () => server.run(script, keys, args), signal);
  }

  subscribe(channel: string, subscriber: RedisSubscriber): () => void {
    const server = this.#redis.serverOf(channel);
    const subscription = new SimulatedSubscription(this.#options, server, channel, subscriber);
    this.#subscriptions.add(subscription);
    return () => {
      subscription.close();
      this.#subscriptions.delete(subscription);
    };
  }

  onServer(prepare: (runId: string) => Promise<void>): void {
    for (const connection of this.#connections.values()) connection.onServer(prepare);
  }

  async close(): Promise<void> {
    for (const connection of this.#connections.values()) connection.close();
    for (const subscription of this.#subscriptions) subscription.close();
  }

  /** The connections for commands break, or the one for messages, or all of them. */
  cut(which: 'commands' | 'messages' | 'all' = 'all'): void {
    if (which !== 'messages') for (const connection of this.#connections.values()) connection.cut();
    if (which !== 'commands') for (const subscription of this.#subscriptions) subscription.cut();
  }

  #getAll(keys: readonly string[], signal: AbortSignal): Promise<(Buffer | null)[]> {
    const server = this.#redis.serverOf(keys[0] ?? '');
    return this.#call(server, () => keys.map((key) => server.get(key)), signal);
  }

  #call<T>(server: SimulatedServer, execute: () => T, signal: AbortSignal): Promise<T> {
    return (this.#connections.get(server) ?? unreachable()).call(execute, signal);
  }
}

/** What is in braces decides about the slot, where there is any. */
function slotOf(key: string): string {
  return /\{([^}]+)\}/.exec(key)?.[1] ?? key;
}

/** FNV-1a: as good as any to spread slots with. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193) >>> 0;
  return hash;
}

function unreachable(): never {
  throw new Error('unreachable');
}
