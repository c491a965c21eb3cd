import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryEntry, type MemoryFields } from './memory-entry.js';
import { type EvictionReason, MemoryTier, type MemoryTierOptions } from './memory-tier.js';
import { Partition } from './partition.js';

describe('MemoryTier', () => {
  it.each(['s3-fifo', 'lru'] as const)('does what an obvious model of %s does, within its limits', (eviction) => {
    fc.assert(
      fc.property(limits, fc.array(command, { maxLength: 120, size: 'max' }), (limit, commands) => {
        const both = new Compared({ ...limit, eviction });
        for (const each of commands) both.run(each);
      }),
      { numRuns: 120 },
    );
  });
});

type Tenant = string | undefined;

type Command =
  | { readonly do: 'set'; readonly tenant: Tenant; readonly key: string; readonly bytes: number; readonly ms: number }
  | { readonly do: 'hit' | 'get' | 'delete' | 'remove' | 'use'; readonly tenant: Tenant; readonly key: string }
  | { readonly do: 'clear' };

const tenants: readonly Tenant[] = [undefined, 'a', 'b', 'c'];
const keys = Array.from({ length: 14 }, (_, number) => `key ${number}`);
const place = { tenant: fc.constantFrom(...tenants), key: fc.constantFrom(...keys) };

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 60,
    arbitrary: fc.record({
      do: fc.constant('set'),
      ...place,
      bytes: fc.oneof(fc.constant(100), fc.integer({ min: 0, max: 2_500 })),
      ms: fc.constantFrom(0, 1, 1, 1, 3, 40, 1_000),
    }),
  },
  { weight: 40, arbitrary: fc.record({ do: fc.constant('hit'), ...place }) },
  {
    weight: 15,
    arbitrary: fc.record({ do: fc.constantFrom('get', 'delete', 'remove', 'use'), ...place }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'clear' }) },
);

const limits = fc.oneof(
  fc.record({
    maxEntries: fc.integer({ min: 1, max: 30 }),
    maxBytes: fc.constant(1e9),
    maxBytesPerTenant: fc.constant(undefined),
  }),
  fc.record({
    maxEntries: fc.constantFrom(12, 1_000),
    maxBytes: fc.constantFrom(8_000, 20_000),
    maxBytesPerTenant: fc.constantFrom(undefined, 5_000, 8_000),
  }),
);

/** A tier and its model, doing the same. */
class Compared {
  readonly #tier: MemoryTier;
  readonly #model: Model;
  readonly #held = new Map<string, MemoryEntry>();
  #departed: { entry: MemoryEntry; reason: EvictionReason }[] = [];

  constructor(options: MemoryTierOptions) {
    this.#model = new Model(options);
    this.#tier = new MemoryTier({
      ...options,
      onEvict: (entry, reason) => this.#departed.push({ entry, reason }),
    });
  }

  run(each: Command): void {
    this.#departed = [];
    if (each.do === 'clear') {
      this.#tier.clear();
      this.#model.clear();
    } else this.#runAt(each, each.tenant, each.key);
    this.#checkSame();
    checkOrder(this.#tier);
  }

  #runAt(each: Exclude<Command, { do: 'clear' }>, tenant: Tenant, key: string): void {
    const known = this.#tier.get(tenant, key);
    const held = this.#held.get(`${tenant} ${key}`);
    if (each.do === 'set') {
      const entry = this.#tier.set(tenant, key, fieldsOf(each.bytes, each.ms));
      const isKept = this.#model.set(tenant, key, each.bytes, each.ms, this.#departed);
      expect(entry !== undefined).toBe(isKept);
      if (entry) {
        expect(this.#tier.get(tenant, key)).toBe(entry);
        this.#held.set(`${tenant} ${key}`, entry);
      }
    } else if (each.do === 'hit' && known) {
      this.#tier.use(known);
      this.#model.use(tenant, key);
    } else if (each.do === 'delete') {
      expect(this.#tier.delete(tenant, key)).toBe(known);
      this.#model.delete(tenant, key);
    } else if (each.do === 'remove' && held) {
      this.#tier.remove(held);
      if (known === held) this.#model.delete(tenant, key);
    } else if (each.do === 'use' && held) {
      this.#tier.use(held);
      if (known === held) this.#model.use(tenant, key);
    }
    if (each.do !== 'set') expect(this.#departed).toEqual([]);
  }

  #checkSame(): void {
    const contents = (find: (tenant: Tenant, key: string) => { readonly value: unknown } | undefined) =>
      tenants.flatMap((tenant) => keys.map((key) => `${tenant} ${key}: ${find(tenant, key)?.value}`)).join('\n');
    expect(contents((tenant, key) => this.#tier.get(tenant, key))).toBe(
      contents((tenant, key) => this.#model.find(tenant, key)),
    );
    const { maxEntries, maxBytes } = this.#model.options;
    expect([this.#tier.size, this.#tier.bytes]).toEqual([this.#model.size, this.#model.bytes]);
    expect(this.#tier.size <= maxEntries && this.#tier.bytes <= maxBytes).toBe(true);
  }
}

/** Every entry is in exactly one queue of its partition, the links are right, and the sums are those of the entries. */
function checkOrder(tier: MemoryTier): void {
  let [size, bytes] = [0, 0];
  for (const tenant of tenants) {
    const entries = keys.flatMap((key) => tier.get(tenant, key) ?? []);
    const partition = entries[0]?.partition;
    if (!partition) continue;
    const queued = [partition.small, partition.main].flatMap((queue, index) => {
      const list: MemoryEntry[] = [];
      let areLinksRight = true;
      for (let entry = queue.first; entry; entry = entry.next) {
        areLinksRight &&= entry.previous === list.at(-1) && entry.queue === index + 1;
        list.push(entry);
      }
      const sum = list.reduce((total, entry) => total + entry.bytes, 0);
      expect([areLinksRight, queue.size, queue.bytes]).toEqual([true, list.length, sum]);
      return list;
    });
    const isSame = queued.length === entries.length && entries.every((entry) => queued.includes(entry));
    expect([isSame, partition.entries.size]).toEqual([true, entries.length]);
    size += queued.length;
    bytes += partition.bytes;
  }
  expect([tier.size, tier.bytes]).toEqual([size, bytes]);
}

interface Modelled {
  readonly key: string;
  readonly value: number;
  readonly bytes: number;
  uses: number;
  readonly weight: number;
  rounds: number;
}

/** Queues are arrays, and everything is found by looking through them. */
class ModelPartition {
  readonly tenant: Tenant;
  readonly overhead: number;
  small: Modelled[] = [];
  main: Modelled[] = [];
  mean = 0;
  seen = 0;

  constructor(tenant: Tenant) {
    this.tenant = tenant;
    this.overhead = new Partition(tenant, 0).overheadBytes;
  }

  get all(): Modelled[] {
    return [...this.small, ...this.main];
  }

  get bytes(): number {
    return this.overhead + sumOf(this.all);
  }
}

class Model {
  readonly options: MemoryTierOptions;
  partitions: ModelPartition[] = [];
  ghosts: string[] = [];
  /** It stays, also while it has nothing, and knows what is usual. */
  #untenanted = new ModelPartition(undefined);

  constructor(options: MemoryTierOptions) {
    this.options = options;
  }

  get size(): number {
    return this.partitions.reduce((sum, { all }) => sum + all.length, 0);
  }

  get bytes(): number {
    return this.partitions.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  find(tenant: Tenant, key: string): Modelled | undefined {
    return this.#partitionOf(tenant)?.all.find((entry) => entry.key === key);
  }

  clear(): void {
    this.partitions = [];
    this.ghosts = [];
    this.#untenanted = new ModelPartition(undefined);
  }

  delete(tenant: Tenant, key: string): Modelled | undefined {
    const partition = this.#partitionOf(tenant);
    const entry = this.find(tenant, key);
    if (!partition || !entry) return undefined;
    partition.small = partition.small.filter((other) => other !== entry);
    partition.main = partition.main.filter((other) => other !== entry);
    this.#dropEmpty();
    return entry;
  }

  use(tenant: Tenant, key: string): void {
    const partition = this.#partitionOf(tenant);
    const entry = this.find(tenant, key);
    if (!partition || !entry) return;
    if (this.options.eviction === 'lru') partition.main = [...partition.main.filter((other) => other !== entry), entry];
    else entry.uses = usedAgain(entry.uses, entry.weight);
  }

  /** @param departed what the tier let go: it chooses among partitions of equal share, and the model checks the rest */
  set(
    tenant: Tenant,
    key: string,
    valueBytes: number,
    ms: number,
    departed: readonly { readonly entry: MemoryEntry; readonly reason: EvictionReason }[],
  ): boolean {
    const { bytes } = new MemoryEntry(new Partition(tenant, 0), key, fieldsOf(valueBytes));
    const { maxBytes, maxBytesPerTenant = Number.POSITIVE_INFINITY, maxEntries, eviction } = this.options;
    const log = departed.map(({ entry, reason }) => ({ tenant: entry.tenant, key: entry.key, reason }));
    const own = tenant === undefined ? this.#untenanted : (this.#partitionOf(tenant) ?? new ModelPartition(tenant));
    const older = own.all.find((entry) => entry.key === key);
    const wasInMain = older !== undefined && own.main.includes(older);
    own.small = own.small.filter((entry) => entry !== older);
    own.main = own.main.filter((entry) => entry !== older);
    const refused = (reason: EvictionReason) => {
      expect(log).toEqual([{ tenant, key, reason }]);
      this.#dropEmpty();
      return false;
    };
    if (bytes > maxBytes / 10) return refused('too-large');
    if (tenant !== undefined && bytes > maxBytesPerTenant / 10) return refused('too-large');
    if (!this.partitions.includes(own)) this.partitions.push(own);
    while (tenant !== undefined && own.bytes + bytes > maxBytesPerTenant) {
      expect(log.shift()).toEqual({ tenant, key: this.#evict(own, 'tenant').key, reason: 'tenant' });
    }
    for (;;) {
      const limit = this.size + 1 > maxEntries ? 'entries' : this.bytes + bytes > maxBytes ? 'bytes' : undefined;
      if (!limit) break;
      const share = (partition: ModelPartition, more = 0, count = 0) =>
        Math.max((partition.bytes + more) / maxBytes, (partition.all.length + count) / maxEntries);
      const others = this.partitions.filter((partition) => partition !== own);
      const largest = Math.max(...others.map((partition) => share(partition)));
      const next = log.shift();
      let victim = own;
      if (largest >= share(own, bytes, 1)) {
        const named = others.find((partition) => partition.tenant === next?.tenant);
        if (!named) throw new Error(`${limit}: the tier evicted from ${next?.tenant}`);
        expect(share(named)).toBe(largest);
        victim = named;
      } else {
        const left = maxBytes - others.reduce((sum, partition) => sum + partition.bytes, 0);
        const places = maxEntries - others.reduce((sum, partition) => sum + partition.all.length, 0);
        const alone = Math.max((own.overhead + bytes) / maxBytes, 1 / maxEntries);
        if (own.all.length === 0 || ((left < own.overhead + bytes || places < 1) && alone > largest)) {
          expect([next, ...log]).toEqual([{ tenant, key, reason: limit }]);
          this.#dropEmpty();
          return false;
        }
      }
      expect(next).toEqual({ tenant: victim.tenant, key: this.#evict(victim, limit).key, reason: limit });
      this.#dropEmpty(own);
    }
    expect(log).toEqual([]);
    const weight = eviction === 'lru' ? 0 : this.#weigh(own, bytes, ms);
    const entry = { key, value: valueBytes, bytes, weight, uses: 0, rounds: 2 * weight };
    if (older && eviction === 's3-fifo') {
      entry.uses = usedAgain(older.uses, weight);
      entry.rounds = older.rounds;
    }
    const name = `${tenant} ${key}`;
    const ghost = this.ghosts.lastIndexOf(name);
    const window = Math.ceil(0.9 * this.size);
    if (eviction === 'lru') own.main.push(entry);
    else if (older) (wasInMain ? own.main : own.small).push(entry);
    else if (ghost >= 0 && ghost >= this.ghosts.length - window) {
      this.ghosts[ghost] = '';
      own.main.push({ ...entry, uses: weight, rounds: 0 });
    } else own.small.push(entry);
    return true;
  }

  #partitionOf(tenant: Tenant): ModelPartition | undefined {
    return this.partitions.find((partition) => partition.tenant === tenant);
  }

  #dropEmpty(but?: ModelPartition): void {
    this.partitions = this.partitions.filter((partition) => partition === but || partition.all.length > 0);
  }

  #evict(from: ModelPartition, limit: EvictionReason): Modelled {
    for (;;) {
      const isFull =
        limit === 'entries' ? from.small.length >= from.all.length / 10 : sumOf(from.small) >= sumOf(from.all) / 10;
      const isFromSmall = from.small.length > 0 && (isFull || from.main.length === 0);
      const entry = isFromSmall ? from.small.shift() : from.main.shift();
      if (!entry) throw new Error('nothing to evict');
      if (isFromSmall && entry.uses >= 2) from.main.push(Object.assign(entry, { uses: entry.weight, rounds: 0 }));
      else if (isFromSmall && entry.rounds > 0) from.small.push(Object.assign(entry, { rounds: entry.rounds - 1 }));
      else if (!isFromSmall && entry.uses > 0) from.main.push(Object.assign(entry, { uses: entry.uses - 1 }));
      else {
        if (isFromSmall) this.ghosts.push(`${from.tenant} ${entry.key}`);
        return entry;
      }
    }
  }

  #weigh(partition: ModelPartition, bytes: number, ms: number): number {
    if (ms === 0) return 0;
    const density = Math.log2(ms / bytes);
    partition.seen++;
    partition.mean += (density - partition.mean) / partition.seen;
    return Math.min(4, Math.max(0, Math.floor(density - partition.mean)));
  }
}

function usedAgain(uses: number, weight: number): number {
  return Math.min(uses + 1 + 2 * weight, 3 + 3 * weight);
}

function sumOf(entries: readonly Modelled[]): number {
  return entries.reduce((sum, { bytes }) => sum + bytes, 0);
}

function fieldsOf(valueBytes: number, computeMs = 0): MemoryFields {
  return {
    value: valueBytes,
    isShareable: true,
    storedAt: 0,
    freshUntil: 0,
    keptUntil: 0,
    computeMs,
    tags: undefined,
    fence: 0,
    id: undefined,
    valueBytes,
  };
}
