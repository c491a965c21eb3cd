import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { LoadOptions } from './processes/shared-cache-load.js';
import type { Seen } from './processes/shared-cache-seen.js';
import { Truth } from './shared-cache-truth.js';

const loadFile = fileURLToPath(new URL('processes/shared-cache-load.ts', import.meta.url));

const calmMs = 800;
/** So much is seen of the time after a fault. */
const goodForMs = 1_000;
/** The longest pause of a breaker, and some. */
const recoversWithinMs = 35_000;
/** What was seen is told with this delay at most. */
const toldWithinMs = 250;
/** The default of a cache. */
const storeTimeoutMs = 50;
const leaseTtlMs = 1_000;

/** A fault and what came after it; times are those of `Truth`. */
export interface Ordeal {
  readonly name: string;
  readonly truth: Truth;
  readonly from: number;
  readonly faultFrom: number;
  readonly faultTo: number;
  /** Undefined when it never was. */
  readonly wellAt: number | undefined;
  readonly to: number;
}

export interface FleetOptions {
  /** Of each process. */
  readonly connections: readonly LoadOptions['connection'][];
  readonly staleWindowMs: number;
  readonly seed: number;
}

/** Processes that share a cache and are always busy with it. */
export class Fleet {
  /** What processes said that should say nothing, and how they ended. */
  readonly said: string[] = [];
  readonly #truth: Truth;
  readonly #children: readonly ChildProcess[];
  #isOver = false;

  constructor({ connections, staleWindowMs, seed }: FleetOptions) {
    this.#truth = new Truth({ processes: connections.length, storeTimeoutMs, staleWindowMs, leaseTtlMs });
    this.#children = connections.map((connection, index) => {
      const options: LoadOptions = { connection, seed: seed + index, staleWindowMs, leaseTtlMs };
      const child = fork(loadFile, [JSON.stringify(options)], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
      child.stderr?.on('data', (text: Buffer) => this.said.push(String(text)));
      child.on('message', (seen: Seen[]) => this.#truth.add(index, child.pid ?? 0, seen));
      child.on('exit', (code, signal) => {
        if (!this.#isOver) this.said.push(`Process ${index} ended by itself: ${code} ${signal}`);
      });
      return child;
    });
  }

  /** Resolves when all of them have used the store in each way. */
  async begin(): Promise<void> {
    await this.#untilWell(now());
  }

  async suffer(name: string, harm: () => Promise<unknown>): Promise<Ordeal> {
    const from = now();
    await pause(calmMs);
    const faultFrom = now();
    await harm();
    const faultTo = now();
    const wellAt = await this.#untilWell(faultTo);
    return { name, truth: this.#truth, from, faultFrom, faultTo, wellAt, to: now() - toldWithinMs };
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#children.map(ended));
  }

  async #untilWell(since: number): Promise<number | undefined> {
    while (this.said.length === 0 && now() < since + recoversWithinMs + goodForMs) {
      await pause(100);
      const wellAt = this.#truth.wellSince(since);
      if (wellAt !== undefined && now() - wellAt >= goodForMs + toldWithinMs) return wellAt;
    }
    return undefined;
  }
}

/** The machine's monotonic clock. */
function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

function ended(child: ChildProcess): Promise<unknown> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  return exit;
}
