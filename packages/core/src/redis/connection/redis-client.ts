import type { RedisClientOptions, RedisClusterOptions, RedisSentinelOptions } from '@redis/client';
import type { RedisPort } from '../../kernel/index.js';
import { badOption, type Clock, type Random, WarmpathError } from '../../kernel/index.js';
import { ClusterPort } from './cluster-port.js';
import { type NodeAddress, type NodeClient, type OpenClient, oursOver } from './node-client.js';
import { masterOf } from './sentinel.js';
import { SinglePort } from './single-port.js';

/** What `createClient()` of `@redis/client` gives, or of `redis`; connected or not, it is not used itself. */
export interface RedisClientLike {
  readonly options?: { readonly socket?: object };
  readonly isReady: boolean;
  duplicate(overrides?: object): NodeClient;
  multi(): unknown;
}

/** What `createCluster()` gives. */
export interface RedisClusterLike {
  readonly _options: object;
  nodeClient(node: never): unknown;
}

/** What `createSentinel()` gives. It has to be connected: it is asked which server is in charge. */
export interface RedisSentinelLike {
  readonly isOpen: boolean;
  _execute<T>(isReadonly: boolean | undefined, use: (client: RedisClientLike) => Promise<T>): Promise<T>;
  getSentinelNode(): unknown;
}

/**
 * Where Redis is: a `redis://` or `rediss://` address; the options of `createClient()`, `createCluster()` (`rootNodes`) or
 * `createSentinel()` (`sentinelRootNodes`) of `@redis/client`; or what one of them has made.
 */
export type RedisConnect =
  | string
  | URL
  | RedisClientOptions
  | RedisClusterOptions
  | RedisSentinelOptions
  | RedisClientLike
  | RedisClusterLike
  | RedisSentinelLike;

export interface RedisSurroundings {
  readonly clock: Clock;
  readonly random: Random;
}

const connectionRule =
  "an address such as 'redis://cache.internal:6379' (or rediss://), the options of createClient() with a 'url' or a 'socket', those of createCluster() or createSentinel(), or what one of them has made";

/**
 * Connections of our own to where the given one leads: for each server one for commands, and one for what is published.
 * @throws WarmpathError `WP_BAD_OPTION`; `WP_MODULE_MISSING` where `@redis/client` is needed and not installed
 */
export function connectRedis(where: string, connection: RedisConnect, around: RedisSurroundings): RedisPort {
  const options = typeof connection === 'string' || connection instanceof URL ? { url: `${connection}` } : connection;
  if (typeof options !== 'object' || options === null || Array.isArray(options)) throw badConnection(where, connection);
  if (isSentinel(options)) return new SinglePort({ ...around, open: (signal) => masterOfSentinel(options, signal) });
  if (isClient(options)) return new SinglePort({ ...around, open: async (signal) => copyOf(options, signal) });
  if ('sendCommand' in options && !isCluster(options)) throw badConnection(where, connection);
  mustHaveClient(where);
  if (isCluster(options)) return clusterPort(options._options as RedisClusterOptions, around);
  if ('sentinelRootNodes' in options) {
    const { name, sentinelRootNodes: nodes } = options;
    if (!isText(name)) throw badOption(where, 'name', 'the name of the master that the Sentinels watch', name);
    if (!areNodes(nodes, (node) => isText(node.host))) throw badNodes(where, 'sentinelRootNodes', nodes);
    return sentinelPort(options, around);
  }
  if ('rootNodes' in options) {
    const { rootNodes: nodes } = options;
    if (!areNodes(nodes, leadsSomewhere)) throw badNodes(where, 'rootNodes', nodes);
    return clusterPort(options, around);
  }
  if (!leadsSomewhere(options)) throw badConnection(where, connection);
  const open = opener(options);
  return new SinglePort({ ...around, open: (signal) => open(undefined, signal) });
}

/**
 * It is loaded when it is used, but whether it can be shows now.
 * @throws WarmpathError `WP_MODULE_MISSING`
 */
export function mustHaveClient(where: string, resolve: (name: string) => string = import.meta.resolve): void {
  try {
    resolve('@redis/client');
  } catch (cause) {
    throw new WarmpathError(
      'WP_MODULE_MISSING',
      `${where} needs the package '@redis/client', version 5.10 or later: npm install @redis/client`,
      { details: { where, module: '@redis/client' }, cause },
    );
  }
}

function sentinelPort(options: RedisSentinelOptions, around: RedisSurroundings): RedisPort {
  const { name, sentinelRootNodes: sentinels, sentinelClientOptions, nodeClientOptions, nodeAddressMap } = options;
  const ask = opener(sentinelClientOptions);
  const open = opener({ RESP: options.RESP, ...nodeClientOptions });
  return new SinglePort({
    ...around,
    open: async (signal) => {
      const master = await masterOf({ name, sentinels, open: ask, clock: around.clock }, signal);
      return open(mapped(nodeAddressMap, master), signal);
    },
  });
}

function clusterPort(options: RedisClusterOptions, around: RedisSurroundings): RedisPort {
  const { rootNodes, defaults, nodeAddressMap, RESP } = options;
  const shared = { RESP, ...defaults };
  return new ClusterPort({
    ...around,
    roots: rootNodes.map((root) => ({
      host: hostOf(root),
      open: opener({ ...shared, ...root, socket: { ...shared.socket, ...root.socket } } as RedisClientOptions),
    })),
    open: opener(shared),
    addressOf: (node) => mapped(nodeAddressMap, node),
  });
}

function opener(options: RedisClientOptions = {}): OpenClient {
  return async (at, signal) => {
    const { createClient } = await import('@redis/client');
    return createClient({ ...options, ...oursOver(options.socket, at, signal) } as RedisClientOptions);
  };
}

function copyOf(client: RedisClientLike, signal: AbortSignal): NodeClient {
  return client.duplicate(oursOver(client.options?.socket, undefined, signal));
}

async function masterOfSentinel(sentinel: RedisSentinelLike, signal: AbortSignal): Promise<NodeClient> {
  if (!sentinel.isOpen) throw new Error('the Sentinel client that was given is not connected; call its connect()');
  return sentinel._execute(false, async (client: RedisClientLike) => copyOf(client, signal));
}

/** Where a server is reached that goes by another name among its like. */
function mapped(map: RedisClusterOptions['nodeAddressMap'], node: NodeAddress): NodeAddress {
  const name = `${node.host}:${node.port}`;
  return (typeof map === 'function' ? map(name) : map?.[name]) ?? node;
}

function hostOf({ url, socket }: RedisClusterOptions['rootNodes'][number]): string {
  if (url !== undefined) return new URL(url).hostname;
  return (socket && 'host' in socket && socket.host) || 'localhost';
}

function isSentinel(connection: object): connection is RedisSentinelLike {
  return 'getSentinelNode' in connection && '_execute' in connection;
}

function isCluster(connection: object): connection is RedisClusterLike {
  return 'nodeClient' in connection && '_options' in connection;
}

function isClient(connection: object): connection is RedisClientLike {
  return 'duplicate' in connection && 'multi' in connection && 'isReady' in connection;
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

/** Whether it says where a server is: what says nothing would silently be the server of somebody else, on this machine. */
function leadsSomewhere({ url, socket }: { readonly url?: unknown; readonly socket?: unknown }): boolean {
  if (url === undefined) return typeof socket === 'object' && socket !== null;
  const parsed = typeof url === 'string' && URL.canParse(url) ? new URL(url) : undefined;
  return parsed !== undefined && /^rediss?:$/.test(parsed.protocol) && parsed.hostname !== '';
}

function areNodes<T extends object>(nodes: readonly T[], isOne: (node: T) => boolean): boolean {
  if (!Array.isArray(nodes) || nodes.length === 0) return false;
  return nodes.every((node) => typeof node === 'object' && node !== null && isOne(node));
}

function badNodes(where: string, option: string, nodes: unknown): WarmpathError {
  const rule =
    option === 'rootNodes' ? "nodes with a 'url' or a 'socket' each" : "Sentinels with a 'host' and a 'port' each";
  return badOption(where, option, `a list of ${rule}`, nodes, true);
}

/** It may hold a password. */
function badConnection(where: string, connection: unknown): WarmpathError {
  return badOption(where, 'connection', connectionRule, connection, true);
}
