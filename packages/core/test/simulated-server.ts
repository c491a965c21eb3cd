import type { Clock, Random, RedisValue, Script } from '../src/kernel/index.js';
import { Keyspace } from './simulated-keyspace.js';
import { simulatedScripts } from './simulated-scripts.js';
import { simulatedStreamScripts } from './simulated-stream-scripts.js';

/** What a server comes back with: nothing, or all but so many of the last commands that have changed anything. */
export type Losing = 'everything' | { readonly commands: number };

/** One Redis: its keys on a clock of its own, its channels, and what can happen to it. */
export class SimulatedServer {
  readonly keyspace: Keyspace;
  /** Ahead of the clock of the simulation by so much; may be set at any time. */
  aheadMs = 0;
  /** The memory is full: what may need more of it is refused. */
  isFull = false;
  runId = '';
  readonly #random: Random;
  readonly #channels = new Map<string, Set<(text: string) => void>>();
  readonly #onDown = new Set<() => void>();
  /** What came while it was frozen. */
  #backlog: (() => void)[] | undefined;
  #isUp = true;

  constructor(clock: Clock, random: Random) {
    this.#random = random;
    this.keyspace = new Keyspace(() => clock.wall() + this.aheadMs);
    this.#begin();
  }

  get isAnswering(): boolean {
    return this.#isUp && !this.#backlog;
  }

  get(key: string): Buffer | null {
    return this.keyspace.get(key) ?? null;
  }

  run({ name, lua }: Script, keys: readonly string[], args: readonly (string | Buffer)[]): RedisValue {
    const execute = simulatedScripts[name] ?? simulatedStreamScripts[name];
    if (!execute) throw new Error(`The simulation does not know the script '${name}'.`);
    if (this.isFull && !/^#!lua flags=.*\ballow-oom\b/.test(lua)) {
      throw new Error("OOM command not allowed when used memory > 'maxmemory'.");
    }
    const publish = (channel: string, text: string): void => this.publish(channel, text);
    try {
      return execute({ keys, args, keyspace: this.keyspace, runId: this.runId, publish });
    } finally {
      this.keyspace.commit();
    }
  }

  publish(channel: string, text: string): void {
    for (const hear of this.#channels.get(channel) ?? []) hear(text);
  }

  /** @returns how to end it */
  subscribe(channel: string, hear: (text: string) => void): () => void {
    const hearers = this.#channels.get(channel) ?? new Set();
    this.#channels.set(channel, hearers.add(hear));
    return () => void hearers.delete(hear);
  }

  /** @returns how to end it */
  onDown(run: () => void): () => void {
    this.#onDown.add(run);
    return () => void this.#onDown.delete(run);
  }

  /** A call has arrived: it is run now, once the server goes on, or never. */
  receive(run: () => void): void {
    if (this.#backlog) this.#backlog.push(run);
    else if (this.#isUp) run();
  }

  /** All connections are lost, and nobody can connect until it is `restart`ed. */
  crash(): void {
    this.#isUp = false;
    this.#backlog = undefined;
    for (const run of [...this.#onDown]) run();
  }

  /** As another one: after a crash, or a failover to a replica if it was up. */
  restart(losing: Losing): void {
    this.crash();
    if (losing === 'everything') this.keyspace.clear();
    else this.keyspace.undo(losing.commands);
    this.#begin();
  }

  /** As by SIGSTOP: connections stay and calls are taken, but nothing is done. */
  freeze(): void {
    if (this.#isUp) this.#backlog ??= [];
  }

  thaw(): void {
    const backlog = this.#backlog ?? [];
    this.#backlog = undefined;
    for (const run of backlog) run();
  }

  /** Takes away keys, whichever they are, as `maxmemory-policy allkeys-random` does. */
  evict(count: number): void {
    const keys = this.keyspace.keys();
    for (let left = Math.min(count, keys.length); left > 0; left--) {
      const [key] = keys.splice(Math.floor(this.#random() * keys.length), 1);
      if (key !== undefined) this.keyspace.remove(key);
    }
    this.keyspace.commit();
  }

  #begin(): void {
    this.#isUp = true;
    this.runId = Array.from({ length: 5 }, () =>
      Math.floor(this.#random() * 2 ** 32)
        .toString(16)
        .padStart(8, '0'),
    ).join('');
  }
}
