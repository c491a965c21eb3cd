import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash } from 'node:crypto';
import type { Clock, Random, RedisPort, RedisValue, Script } from '../../kernel/index.js';
import type { NodeClient } from './node-client.js';
import { RedisConnection } from './redis-connection.js';

type Prepare = Parameters<RedisPort['onServer']>[0];

/** What is to be done on a server that is not the one of before; its own commands wait for nobody. */
export class Preparations {
  readonly all: Set<Prepare> = new Set();
  readonly #inside = new AsyncLocalStorage<true>();

  get isInside(): boolean {
    return this.#inside.getStore() === true;
  }

  run(prepare: Prepare, runId: string, owns: ((key: string) => boolean) | undefined): Promise<void> {
    return this.#inside.run(true, () => prepare(runId, owns));
  }
}

export interface RedisServerOptions {
  readonly open: (signal: AbortSignal) => Promise<NodeClient>;
  readonly preparations: Preparations;
  /** Which keys lie there; without it all of them. */
  readonly owns?: (key: string) => boolean;
  readonly onLost?: () => void;
  readonly clock: Clock;
  readonly random: Random;
}

/** Replies of bytes as bytes: 36 is `RESP_TYPES.BLOB_STRING`. */
const asBytes = { typeMapping: { 36: Buffer } } as const;

const hashes = new Map<string, string>();

/** The commands of one server. What is sent in one turn of the event loop leaves together. */
export class RedisServer {
  readonly #preparations: Preparations;
  readonly #owns: RedisServerOptions['owns'];
  readonly #connection: RedisConnection;
  readonly #random: Random;
  /** For which run of the server each was done. */
  readonly #prepared = new Map<Prepare, string>();
  #runId = '';

  constructor({ preparations, owns, random, ...options }: RedisServerOptions) {
    this.#preparations = preparations;
    this.#owns = owns;
    this.#random = random;
    this.#connection = new RedisConnection({ ...options, random, greet: (client) => this.#meet(client) });
  }

  get firstAttempt(): Promise<void> {
    return this.#connection.firstAttempt;
  }

  /** What is sent from now on waits for it. */
  prepare(prepare: Prepare): void {
    this.#connection.greetAgain(() => this.#prepare(prepare));
  }

  /** @param isAsking the slot of its keys is about to come here: https://redis.io/docs/latest/commands/asking/ */
  send(args: readonly (string | Buffer)[], signal?: AbortSignal, isAsking = false): Promise<unknown> {
    if (isAsking) this.send(['ASKING'], signal).catch(() => {}); // then the command that follows fails as well
    const options = signal ? { ...asBytes, abortSignal: signal } : asBytes;
    return this.#connection.send(args, options, this.#preparations.isInside);
  }

  async run(
    { lua }: Script,
    operands: readonly (string | Buffer)[],
    signal: AbortSignal,
    isAsking = false,
  ): Promise<RedisValue> {
    try {
      return (await this.send(['EVALSHA', hashOf(lua), ...operands], signal, isAsking)) as RedisValue;
    } catch (error) {
      if (startsWith(error, 'READONLY')) this.#connection.renew('it has become a replica');
      if (!startsWith(error, 'NOSCRIPT')) throw error;
      signal.throwIfAborted();
      return (await this.send(['EVAL', lua, ...operands], signal, isAsking)) as RedisValue;
    }
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  async #meet(client: NodeClient): Promise<void> {
    this.#runId = await this.#runIdOf(client);
    await Promise.all(Array.from(this.#preparations.all, (prepare) => this.#prepare(prepare)));
  }

  async #prepare(prepare: Prepare): Promise<void> {
    const runId = this.#runId;
    if (this.#prepared.get(prepare) === runId) return;
    await this.#preparations.run(prepare, runId, this.#owns);
    this.#prepared.set(prepare, runId);
  }

  /** Where a server does not say which run this is, each connection may be to another one. */
  async #runIdOf(client: NodeClient): Promise<string> {
    const unknown = `unknown-${Math.floor(this.#random() * 2 ** 48).toString(36)}`;
    try {
      return /run_id:(\w+)/.exec(String(await client.sendCommand(['INFO', 'server'])))?.[1] ?? unknown;
    } catch (error) {
      if (startsWith(error, 'NOPERM') || startsWith(error, 'ERR')) return unknown;
      throw error;
    }
  }
}

/** What stands behind a script and its name: the keys, with their number before them, and the arguments. */
export function operandsOf(keys: readonly string[], args: readonly (string | Buffer)[]): readonly (string | Buffer)[] {
  return [`${keys.length}`, ...keys, ...args];
}

/** Whether a server has answered so. */
export function startsWith(error: unknown, code: string): error is Error {
  return error instanceof Error && error.message.startsWith(code);
}

function hashOf(lua: string): string {
  const known = hashes.get(lua);
  if (known) return known;
  const hash = createHash('sha1').update(lua).digest('hex');
  hashes.set(lua, hash);
  return hash;
}
