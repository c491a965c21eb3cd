import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SimulatedClock } from '../../../../test/simulated-clock.js';
import { type SimulatedPort, SimulatedRedis } from '../../../../test/simulated-redis.js';
import { seededRandom } from '../../../kernel/index.js';
import type { Invalidation, StoredEntry } from '../../store.js';
import type { RedisStore } from './redis-namespaces.js';
import { redisStoreOver } from './redis-namespaces.js';

const namespace = 'space';
const keys = ['a', 'b', 'c'];
const tags = ['t', 'u'];
const clumsy = { delayMs: [0.1, 20], fails: 0.02, hangs: 0.02, cuts: 0.02, reconnectMs: [1, 200] } as const;
const deadlineMs = 300;
const longestComputationMs = 60;

/** An invalidation that was acknowledged: from then on nothing that began before it may be served. */
interface Told {
  readonly invalidation: Invalidation;
  readonly begun: number;
  readonly acknowledged: number;
}

/** Processes with a store each, which read, compute, set and invalidate whenever it pleases them. */
class World {
  readonly clock = new SimulatedClock();
  readonly redis: SimulatedRedis;
  readonly ports: SimulatedPort[] = [];
  readonly stores: RedisStore[] = [];
  readonly faults: string[] = [];
  served = 0;
  stored = 0;
  readonly #random: () => number;
  readonly #told: Told[] = [];
  /** When values that were set by hand were acknowledged: until then they may still come, whatever is invalidated meanwhile. */
  readonly #set = new Map<number, number>();
  /** Orders what happens, also within one instant. */
  #step = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    const random = this.#random;
    this.redis = new SimulatedRedis({ clock: this.clock, random, servers: seed % 3 === 0 ? 3 : 1 });
    for (const name of ['first', 'second', 'third']) {
      const port = this.redis.connect(seed % 5 === 0 ? {} : clumsy);
      this.ports.push(port);
      const settings = { name, prefix: 'wp', leaseTtlMs: 200, clock: this.clock, random };
      this.stores.push(redisStoreOver(port, settings));
    }
  }

  any<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random() * items.length)] ?? expect.unreachable();
  }

  chance(of: number): boolean {
    return this.#random() < of;
  }

  some<T>(items: readonly T[]): T[] {
    return items.filter(() => this.chance(0.5));
  }

  /** What a cache does on a miss, or to refresh: it reads, asks for a lease, computes and stores. */
  async compute(): Promise<void> {
    const [store, wanted, named] = [this.any(this.stores), this.some(keys), this.some(tags)];
    const { fence } = await this.#read(store, wanted, this.some(named));
    const asked = ++this.#step;
    const leases = this.chance(0.9)
      ? await store.leasing.acquire({
          namespace,
          keys: wanted,
          fence,
          token: `${asked}`,
          signal: this.#deadline(),
        })
      : undefined;
    const begun = ++this.#step;
    for (const [index, key] of wanted.entries()) {
      const outcome = leases?.outcomes[index];
      if (typeof outcome === 'object') this.#check('was handed out', key, outcome, asked);
    }
    await new Promise<void>((resolve) => this.clock.schedule(this.#random() * longestComputationMs, resolve));
    await this.#store(store, wanted, named, { begun, fence: leases?.fence ?? fence });
  }

  async set(): Promise<void> {
    const begun = ++this.#step;
    this.#set.set(begun, Number.POSITIVE_INFINITY);
    await this.#store(this.any(this.stores), this.some(keys), this.some(tags), { begun, fence: undefined });
    this.#set.set(begun, ++this.#step);
  }

  async invalidate(): Promise<void> {
    const invalidation = this.any<Invalidation>([
      { type: 'delete', keys: this.some(keys) },
      { type: 'expire', keys: this.some(keys) },
      { type: 'tags', tags: this.some(tags) },
      { type: 'clear' },
    ]);
    const begun = ++this.#step;
    await this.any(this.stores).invalidate({ namespace, invalidation, signal: this.#deadline() });
    this.#told.push({ invalidation, begun, acknowledged: ++this.#step });
  }

  async read(): Promise<void> {
    await this.#read(this.any(this.stores), keys, this.some(tags));
  }

  async #read(store: RedisStore, wanted: readonly string[], asked: readonly string[]): Promise<{ fence: unknown }> {
    const begun = ++this.#step;
    const answer = await store.getMany({ namespace, keys: wanted, tags: asked, signal: this.#deadline() });
    for (const [index, key] of wanted.entries()) {
      const entry = answer.entries[index];
      if (entry) this.#check('was read', key, entry, begun);
    }
    return answer;
  }

  async #store(
    store: RedisStore,
    wanted: readonly string[],
    named: readonly string[],
    { begun, fence }: { begun: number; fence: unknown },
  ): Promise<void> {
    const entries = wanted.map((key) => ({ key, entry: this.#entryOf(begun, named), fence }));
    const stored = await store.setMany({ namespace, entries, signal: this.#deadline() });
    this.stored += stored.filter(Boolean).length;
  }

  #entryOf(begun: number, named: readonly string[]): StoredEntry {
    const storedAt = this.clock.wall();
    const keptUntil = storedAt + this.any([50, 5_000, 60_000]);
    return { bytes: Buffer.from(`${begun}`), storedAt, freshUntil: keptUntil, keptUntil, computeMs: 1, tags: named };
  }

  #check(how: string, key: string, entry: StoredEntry | 'unreadable', asked: number): void {
    if (entry === 'unreadable') this.faults.push(`'${key}' is unreadable`);
    if (entry === 'unreadable' || entry.freshUntil === 0) return;
    this.served++;
    const value = Number(Buffer.from(entry.bytes).toString());
    const broken = this.#told.find(
      ({ invalidation, begun, acknowledged }) =>
        acknowledged < asked && (this.#set.get(value) ?? value) < begun && covers(invalidation, key, entry.tags),
    );
    if (broken) this.faults.push(`${value} of '${key}' ${how} at ${asked} in spite of ${JSON.stringify(broken)}`);
  }

  #deadline(): AbortSignal {
    const controller = new AbortController();
    this.clock.schedule(deadlineMs, () => controller.abort(new Error('late')));
    return controller.signal;
  }
}

function covers(invalidation: Invalidation, key: string, of: readonly string[]): boolean {
  if (invalidation.type === 'clear') return true;
  return invalidation.type === 'tags'
    ? invalidation.tags.some((tag) => of.includes(tag))
    : invalidation.keys.includes(key);
}

const totals = { served: 0, stored: 0 };

async function run(seed: number): Promise<void> {
  const world = new World(seed);
  const { clock, redis, ports } = world;
  const acts = [world.compute, world.compute, world.set, world.invalidate, world.read, world.read, world.read];
  for (let step = 0; step < 120; step++) {
    for (let act = 0; act < 3; act++)
      void world
        .any(acts)
        .call(world)
        .catch(() => {}); // one that failed promises nothing
    if (world.chance(0.02)) world.any(ports).cut();
    for (const server of redis.servers) {
      if (world.chance(0.15)) server.evict(world.any([1, 1, 1, 5]));
      if (world.chance(0.01)) server.freeze();
      if (world.chance(0.2)) server.thaw();
      if (world.chance(0.005)) server.restart('everything');
    }
    await clock.runUntil(clock.now() + world.any([0, 5, 20, 20, 200]));
    expect(world.faults, `seed ${seed}`).toEqual([]);
  }
  totals.served += world.served;
  totals.stored += world.stored;
}

it('never serves what began before an invalidation that was acknowledged, whatever vanishes, fails or comes late', async () => {
  await fc.assert(fc.asyncProperty(fc.nat(), run), { numRuns: 100, endOnFailure: true });
  expect(totals.served).toBeGreaterThan(5_000);
  expect(totals.stored).toBeGreaterThan(2_000);
}, 60_000);
