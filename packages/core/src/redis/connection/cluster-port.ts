import type { RedisPort, RedisSubscriber, RedisValue, Script } from '../../kernel/index.js';
import { type Clock, linkAbort, type Random, type Timer, untilAborted } from '../../kernel/index.js';
import { type ClusterSlots, parseSlots } from './cluster-slots.js';
import { keySlot } from './key-slot.js';
import type { NodeAddress, NodeClient, OpenClient } from './node-client.js';
import { operandsOf, Preparations, RedisServer, startsWith } from './redis-server.js';
import { RedisSubscriptions } from './redis-subscriptions.js';

export interface ClusterPortOptions {
  /** Where the cluster is found at first. */
  readonly roots: readonly { readonly host: string; readonly open: OpenClient }[];
  /** To any of its servers. */
  readonly open: OpenClient;
  /** Where a server is reached that the cluster knows under this name. */
  readonly addressOf: (node: NodeAddress) => NodeAddress;
  readonly clock: Clock;
  readonly random: Random;
}

const discoverWithinMs = 2_000;
const rediscoverAfterMs = 250;
const mostRedirections = 5;

/** The masters of a cluster, each with a connection, and which slot is whose. */
export class ClusterPort implements RedisPort {
  readonly isCluster = true;
  readonly #options: ClusterPortOptions;
  readonly #preparations = new Preparations();
  readonly #servers = new Map<string, RedisServer>();
  readonly #subscriptions: RedisSubscriptions;
  #slots: ClusterSlots = { masters: new Set(), ownerOf: () => undefined };
  #discovery: Promise<void>;
  /**
   * Resolves when the first servers that were found are all there, as far as they are: one that came later than commands to
   * the others would count as the successor of one that has heard of these.
   */
  #beginning: Promise<void> | undefined;
  #isDiscovering = false;
  #rediscovery: Timer | undefined;
  #error: unknown;
  /** Where the subscriptions are, and the slot that they would best be at. */
  #listening: { readonly slot: number; at: string | undefined } | undefined;
  #isClosed = false;

  constructor(options: ClusterPortOptions) {
    this.#options = options;
    this.#subscriptions = new RedisSubscriptions({ ...options, open: (signal) => this.#openSubscriptions(signal) });
    this.#discovery = this.#discover();
    this.#beginning = this.#begin();
  }

  async getMany(keys: readonly string[]): Promise<readonly (Buffer | null)[]> {
    const bySlot = Map.groupBy(keys.keys(), (index) => keySlot(keys[index] ?? ''));
    const values: (Buffer | null)[] = keys.map(() => null);
    const reads = Array.from(bySlot, async ([slot, indexes]) => {
      const command = ['MGET', ...indexes.map((index) => keys[index] ?? '')];
      const found = await this.#at(slot, (server, isAsking) => server.send(command, undefined, isAsking));
      for (const [at, index] of indexes.entries()) values[index] = (found as readonly (Buffer | null)[])[at] ?? null;
    });
    await Promise.all(reads);
    return values;
  }

  run(
    script: Script,
    keys: readonly string[],
    args: readonly (string | Buffer)[],
    signal: AbortSignal,
  ): Promise<RedisValue> {
    const operands = operandsOf(keys, args);
    return this.#at(keySlot(keys[0] ?? ''), (server, isAsking) => server.run(script, operands, signal, isAsking));
  }

  /** Messages reach all servers of a cluster; the one that has the slot is where they come from. */
  subscribe(channel: string, subscriber: RedisSubscriber): () => void {
    this.#listening ??= { slot: keySlot(channel), at: undefined };
    return this.#subscriptions.subscribe(channel, subscriber);
  }

  onServer(prepare: Parameters<RedisPort['onServer']>[0]): void {
    this.#preparations.all.add(prepare);
    for (const server of this.#servers.values()) server.prepare(prepare);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#rediscovery?.cancel();
    await Promise.all([...Array.from(this.#servers.values(), (server) => server.close()), this.#subscriptions.close()]);
  }

  async #begin(): Promise<void> {
    await this.#discovery;
    await Promise.all(Array.from(this.#servers.values(), ({ firstAttempt }) => firstAttempt));
    this.#beginning = undefined;
  }

  async #at<T>(slot: number, command: (server: RedisServer, isAsking: boolean) => Promise<T>): Promise<T> {
    if (this.#beginning) await (this.#preparations.isInside ? this.#discovery : this.#beginning);
    let address = this.#slots.ownerOf(slot);
    if (address === undefined) throw this.#absence(slot);
    let isAsking = false;
    for (let redirections = 0; ; redirections++) {
      try {
        return await command(this.#serverAt(address), isAsking);
      } catch (error) {
        const to = redirections < mostRedirections ? redirectionOf(error) : undefined;
        if (!to) throw error;
        isAsking = to.isAsking;
        address = to.host === '' ? address.replace(/\d+$/, to.port) : `${to.host}:${to.port}`;
        if (!isAsking) this.#discoverSoon();
      }
    }
  }

  #serverAt(address: string): RedisServer {
    const known = this.#servers.get(address);
    if (known) return known;
    const { addressOf, open, clock, random } = this.#options;
    const server = new RedisServer({
      open: (signal) => open(addressOf(nodeOf(address)), signal),
      onLost: () => this.#discoverSoon(),
      // One that we were sent to and do not know of may have anything.
      owns: (key) => !this.#slots.masters.has(address) || this.#slots.ownerOf(keySlot(key)) === address,
      preparations: this.#preparations,
      clock,
      random,
    });
    this.#servers.set(address, server);
    return server;
  }

  async #openSubscriptions(signal: AbortSignal): Promise<NodeClient> {
    await this.#discovery;
    const { addressOf, open } = this.#options;
    const listening = this.#listening ?? { slot: 0, at: undefined };
    listening.at = this.#slots.ownerOf(listening.slot);
    if (listening.at === undefined) throw this.#absence(listening.slot);
    return open(addressOf(nodeOf(listening.at)), signal);
  }

  #discoverSoon(): void {
    if (this.#isClosed || this.#isDiscovering) return;
    this.#rediscovery ??= this.#options.clock.schedule(
      rediscoverAfterMs,
      () => {
        this.#rediscovery = undefined;
        this.#discovery = this.#discover();
      },
      { background: true },
    );
  }

  /** Asks one after the other, until one of them knows. */
  async #discover(): Promise<void> {
    this.#isDiscovering = true;
    const { roots, open, addressOf, random } = this.#options;
    const known = Array.from(this.#servers.keys(), nodeOf).map((node) => ({
      host: node.host,
      open: (_: undefined, signal: AbortSignal) => open(addressOf(node), signal),
    }));
    const first = Math.floor(random() * known.length);
    let isKnown = false;
    for (const { host, open } of [...known.slice(first), ...known.slice(0, first), ...roots]) {
      if (isKnown || this.#isClosed) break;
      isKnown = await this.#ask(host, open);
    }
    this.#isDiscovering = false;
    if (!isKnown) this.#discoverSoon();
  }

  async #ask(host: string, open: (at: undefined, signal: AbortSignal) => Promise<NodeClient>): Promise<boolean> {
    const { clock } = this.#options;
    const link = linkAbort({ timeoutMs: discoverWithinMs, clock, what: 'A question to a Redis cluster' });
    const client = await open(undefined, link.signal);
    client.on('error', (error) => {
      this.#error = error;
    });
    try {
      await untilAborted(client.connect(), link.signal);
      const slots = parseSlots(await untilAborted(client.sendCommand(['CLUSTER', 'SLOTS']), link.signal), host);
      if (slots.masters.size === 0) throw new Error('The cluster has no slots.');
      this.#adopt(slots);
      return true;
    } catch (error) {
      this.#error = error;
      return false;
    } finally {
      if (client.isOpen) client.destroy();
      link.abort();
    }
  }

  #adopt(slots: ClusterSlots): void {
    if (this.#isClosed) return;
    this.#slots = slots;
    for (const address of slots.masters) this.#serverAt(address);
    for (const [address, server] of this.#servers) {
      if (slots.masters.has(address)) continue;
      this.#servers.delete(address);
      void server.close();
    }
    const at = this.#listening?.at;
    if (at !== undefined && !slots.masters.has(at)) this.#subscriptions.renew(`${at} is no master any more`);
  }

  #absence(slot: number): Error {
    return new Error(`The Redis cluster has no server for slot ${slot}, or cannot be reached.`, { cause: this.#error });
  }
}

interface Redirection {
  readonly isAsking: boolean;
  /** Empty: the same one. */
  readonly host: string;
  readonly port: string;
}

function redirectionOf(error: unknown): Redirection | undefined {
  if (!startsWith(error, 'MOVED ') && !startsWith(error, 'ASK ')) return undefined;
  const [, kind, host = '', port = ''] = /^(MOVED|ASK) \d+ (.*):(\d+)$/.exec(error.message) ?? [];
  return kind === undefined ? undefined : { isAsking: kind === 'ASK', host, port };
}

function nodeOf(address: string): NodeAddress {
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
}
