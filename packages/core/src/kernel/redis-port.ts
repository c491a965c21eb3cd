/** One atomic step on the server. */
export interface Script {
  readonly name: string;
  readonly lua: string;
}

export type RedisValue = Buffer | number | null | readonly RedisValue[];

export interface RedisSubscriber {
  onMessage(text: string): void;
  /** From here on messages are heard; whatever was published before may have been missed. */
  onSubscribed(): void;
  /** From here on messages may be missed. */
  onLost(): void;
}

/**
 * What the store needs of Redis, whichever way it is run. Calls reject at once while there is no connection; those that come
 * before the first attempt has ended wait for it.
 */
export interface RedisPort {
  /** Whether keys of different slots lie on different servers. */
  readonly isCluster: boolean;
  /** One round trip, in the keys' order. */
  getMany(keys: readonly string[], signal: AbortSignal): Promise<readonly (Buffer | null)[]>;
  /** @param keys all of one slot where `isCluster`; the first one names the server */
  run(
    script: Script,
    keys: readonly string[],
    args: readonly (string | Buffer)[],
    signal: AbortSignal,
  ): Promise<RedisValue>;
  /** @returns how to end it */
  subscribe(channel: string, subscriber: RedisSubscriber): () => void;
  /**
   * Called before the first command that reaches a server which is not the one of before (a restart, a failover), and for the
   * very first one; commands wait until it is done. `owns` says which keys lie there, where there are several servers.
   */
  onServer(prepare: (runId: string, owns?: (key: string) => boolean) => Promise<void>): void;
  close(): Promise<void>;
}
