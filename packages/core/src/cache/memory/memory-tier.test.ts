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
      { numRuns: 200 },
    );
  });

  it('keeps numbers, identity and times, the times in whole milliseconds', () => {
    const value = { answer: 42 };
    const tags = ['a', 'b'];
    const times = { storedAt: 1_000.9, freshUntil: 2_000.9, keptUntil: Number.POSITIVE_INFINITY, computeMs: 0.1234 };
    const entry = createTier().set('acme', 'key', { ...fieldsOf(100), ...times, value, tags, fence: 7, id: 'digest' });
    expect(entry).toMatchObject({ tenant: 'acme', key: 'key', fence: 7, id: 'digest', isShareable: true });
    expect(entry).toMatchObject({ storedAt: 1_000, freshUntil: 2_000, keptUntil: Number.POSITIVE_INFINITY });
    expect(entry).toMatchObject({ computeMs: 0.123 });
    expect(entry?.value).toBe(value);
    expect(entry?.tags).toBe(tags);
    if (entry) entry.freshUntil = Number.NEGATIVE_INFINITY;
    expect(entry?.freshUntil).toBe(Number.NEGATIVE_INFINITY);
  });

  it.each([true, false])(
    'remembers whether a value is shareable (%s) through uses and moves between queues',
    (isShareable) => {
      const tier = createTier({ maxEntries: 20 });
      const entry = tier.set(undefined, 'key', { ...fieldsOf(1), isShareable });
      for (let number = 0; number < 100; number++) {
        if (entry) tier.use(entry);
        tier.set(undefined, `other ${number}`, { ...fieldsOf(1), isShareable: !isShareable });
        expect(tier.get(undefined, 'key')?.isShareable).toBe(isShareable);
      }
      const successor = tier.set(undefined, 'key', { ...fieldsOf(1), isShareable: !isShareable });
      expect(successor?.isShareable).toBe(!isShareable);
    },
  );

  it('keeps tenants apart, and calls without one from all of them', () => {
    const tier = createTier();
    for (const tenant of [undefined, '', 'a', 'undefined']) tier.set(tenant, 'key', { ...fieldsOf(1), value: tenant });
    for (const tenant of [undefined, '', 'a', 'undefined']) expect(tier.get(tenant, 'key')?.value).toBe(tenant);
    tier.delete('a', 'key');
    expect(tier.get('a', 'key')).toBeUndefined();
    expect(tier.get('', 'key')).toBeDefined();
    expect(tier.size).toBe(3);
  });

  it('counts the key, wide characters twice, and the tags', () => {
    const bytesOf = (key: string, tags?: readonly string[]) =>
      createTier().set(undefined, key, { ...fieldsOf(0), tags })?.bytes ?? 0;
    expect(bytesOf('k'.repeat(800)) - bytesOf('k'.repeat(400))).toBe(400);
    expect(bytesOf('鍵'.repeat(800)) - bytesOf('鍵'.repeat(400))).toBe(800);
    expect(bytesOf('key', ['t'.repeat(800)]) - bytesOf('key')).toBeGreaterThan(800);
  });

  describe('an entry that is too large', () => {
    it('is not kept from a tenth of the byte limit on, and is reported without anybody leaving for it', () => {
      const log: string[] = [];
      const tier = createTier({ maxBytes: 10_000 }, log);
      tier.set(undefined, 'small', fieldsOf(100));
      expect(tier.set(undefined, 'large', fieldsOf(1_000))).toBeUndefined();
      expect(tier.get(undefined, 'large')).toBeUndefined();
      expect(log).toEqual(['large too-large']);
      expect(tier.size).toBe(1);
    });

    it('takes an older entry of its key with it', () => {
      const tier = createTier({ maxBytes: 10_000 });
      tier.set('a', 'key', fieldsOf(100));
      expect(tier.set('a', 'key', fieldsOf(1_000))).toBeUndefined();
      expect(tier.get('a', 'key')).toBeUndefined();
      expect([tier.size, tier.bytes]).toEqual([0, 0]);
    });

    it('is measured by the quota of its tenant as well', () => {
      const tier = createTier({ maxBytes: 1_000_000, maxBytesPerTenant: 10_000 });
      expect(tier.set('a', 'key', fieldsOf(1_000))).toBeUndefined();
      expect(tier.set(undefined, 'key', fieldsOf(1_000))).toBeDefined();
    });

    it('may be used and removed as if it had been kept and had left since', () => {
      const refused: MemoryEntry[] = [];
      const tier = new MemoryTier({ ...wide, maxBytes: 10_000, onEvict: (entry) => refused.push(entry) });
      tier.set('a', 'key', fieldsOf(100));
      tier.set('a', 'key', fieldsOf(1_000));
      tier.set('a', 'other', fieldsOf(1));
      for (const entry of refused) {
        tier.use(entry);
        tier.remove(entry);
      }
      expect(refused).toHaveLength(1);
      expect(tier.size).toBe(1);
      expect(tier.get('a', 'other')).toBeDefined();
    });
  });

  describe('clear', () => {
    it('forgets everything, also what somebody still holds', () => {
      const log: string[] = [];
      const tier = createTier({ maxEntries: 3 }, log);
      const held = [tier.set('a', 'key', fieldsOf(1)), tier.set(undefined, 'key', fieldsOf(1))];
      tier.clear();
      expect([tier.size, tier.bytes, tier.get('a', 'key'), tier.get(undefined, 'key')]).toEqual([
        0,
        0,
        undefined,
        undefined,
      ]);
      tier.set('a', 'key', fieldsOf(2));
      for (const entry of held) {
        if (!entry) continue;
        tier.use(entry);
        tier.remove(entry);
      }
      expect(tier.size).toBe(1);
      for (const key of ['x', 'y']) tier.set('a', key, fieldsOf(1));
      expect(tier.size).toBe(3);
      expect(log).toEqual([]);
    });

    it('forgets the ghosts too', () => {
      const tier = createTier({ maxEntries: 10 });
      for (let number = 0; number < 20; number++) tier.set(undefined, `key ${number}`, fieldsOf(1));
      tier.clear();
      for (let number = 0; number < 9; number++) tier.set(undefined, `other ${number}`, fieldsOf(1));
      expect(tier.set(undefined, 'key 9', fieldsOf(1))?.queue).toBe(1);
    });
  });

  describe('onEvict', () => {
    it('may call back: everything is in order when it runs', () => {
      const seen: [string, number][] = [];
      const tier: MemoryTier = new MemoryTier({
        ...wide,
        maxEntries: 2,
        onEvict({ key }) {
          seen.push([key, tier.size]);
          if (seen.length === 1) tier.set('b', 'during', fieldsOf(1));
          if (seen.length === 2) tier.clear();
        },
      });
      for (const key of ['1', '2', '3']) tier.set('a', key, fieldsOf(1));
      expect(seen).toEqual([
        ['1', 2],
        ['2', 2],
      ]);
      expect([tier.size, tier.bytes]).toEqual([0, 0]);
      expect(tier.set('a', '4', fieldsOf(1))).toBe(tier.get('a', '4'));
    });

    it('hears nothing of what is replaced, deleted, removed or cleared', () => {
      const log: string[] = [];
      const tier = createTier({}, log);
      const entry = tier.set('a', 'key', fieldsOf(1));
      tier.set('a', 'key', fieldsOf(200));
      if (entry) tier.remove(entry);
      expect(tier.get('a', 'key'), 'its successor stays').toBeDefined();
      tier.delete('a', 'key');
      tier.set('a', 'key', fieldsOf(1));
      tier.clear();
      expect(log).toEqual([]);
    });
  });

  it('lets go of the tenants that have nothing', () => {
    const tier = createTier({ maxEntries: 50 });
    for (let number = 0; number < 5_000; number++) {
      tier.set(`tenant ${number}`, 'key', fieldsOf(1));
      if (number % 3 === 0) tier.delete(`tenant ${number}`, 'key');
    }
    expect(tier.size).toBe(50);
    expect(tier.bytes).toBeLessThan(50 * 1_500);
    for (let number = 0; number < 5_000; number++) tier.delete(`tenant ${number}`, 'key');
    expect([tier.size, tier.bytes]).toEqual([0, 0]);
  });

  it('bounds the bytes of tenants that have one small entry each', () => {
    const tier = createTier({ maxBytes: 100_000 });
    for (let number = 0; number < 1_000; number++) tier.set(`tenant ${number}`, 'key', fieldsOf(1));
    expect(tier.bytes).toBeLessThanOrEqual(100_000);
    expect(tier.size).toBeGreaterThan(50);
    expect(tier.size).toBeLessThan(120);
  });
});

const wide: MemoryTierOptions = {
  maxEntries: 1_000_000,
  maxBytes: 1e9,
  maxBytesPerTenant: undefined,
  eviction: 's3-fifo',
};

function createTier(options: Partial<MemoryTierOptions> = {}, log: string[] = []): MemoryTier {
  return new MemoryTier({ ...wide, ...options, onEvict: ({ key }, reason) => log.push(`${key} ${reason}`) });
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

  /** @param departed what the tier let go: it decides between partitions that have equal shares, the model checks the rest */
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
    const own = this.#partitionOf(tenant) ?? new ModelPartition(tenant);
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
