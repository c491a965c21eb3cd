import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MemoryFields } from './memory-entry.js';
import { MemoryTier } from './memory-tier.js';

describe('tenants in one tier', () => {
  it('let a flood of one push out only its own entries, whoever was there first', () => {
    for (const order of [
      ['quiet', 'loud'],
      ['loud', 'quiet'],
    ]) {
      const { tier, fill, held } = tierOf({ maxEntries: 1_000 });
      for (const tenant of order) fill(tenant, tenant === 'quiet' ? 400 : 5_000);
      fill('loud', 5_000, 'again');
      expect(held('quiet')).toBe(400);
      expect(held('loud')).toBe(600);
      expect(tier.size).toBe(1_000);
    }
  });

  it('never take from one that is within its share of both limits', () => {
    const flood = fc.record({
      tenant: fc.integer({ min: 1, max: 6 }),
      entries: fc.integer({ min: 1, max: 200 }),
      valueBytes: fc.constantFrom(10, 1_000, 4_000),
    });
    const share = fc.record({ entries: fc.integer({ min: 1, max: 14 }), valueBytes: fc.constantFrom(10, 500) });
    fc.assert(
      fc.property(share, fc.array(flood, { maxLength: 20, size: 'max' }), ({ entries, valueBytes }, floods) => {
        // 14 entries, and 14 times 750 bytes with what a tenant takes, are within a seventh of each limit.
        const { fill, held } = tierOf({ maxEntries: 100, maxBytes: 90_000 });
        fill('modest', entries, 'key', valueBytes);
        for (const [turn, each] of floods.entries()) {
          fill(`tenant ${each.tenant}`, each.entries, `turn ${turn}`, each.valueBytes);
          expect(held('modest')).toBe(entries);
        }
      }),
    );
  });

  it('give each its equal part when all of them want more', () => {
    const { fill, held } = tierOf({ maxEntries: 1_000 });
    for (let turn = 0; turn < 400; turn++)
      for (let tenant = 0; tenant < 10; tenant++) fill(`${tenant}`, 1, `key ${turn}`);
    for (let tenant = 0; tenant < 10; tenant++) expect(held(`${tenant}`)).toBe(100);
  });

  it('share what the modest leave: a quarter each for two, a half for the third', () => {
    const { fill, held } = tierOf({ maxEntries: 1_000 });
    for (const tenant of ['a', 'b']) fill(tenant, 250);
    fill('greedy', 3_000);
    expect([held('a'), held('b'), held('greedy')]).toEqual([250, 250, 500]);
  });

  it('count entries against bytes: who has the larger part of either limit gives way', () => {
    const { fill, held } = tierOf({ maxEntries: 1_000, maxBytes: 1_000_000 });
    fill('few and large', 20, 'key', 20_000);
    fill('many and tiny', 3_000, 'key', 1);
    expect(held('few and large')).toBe(20);
    expect(held('many and tiny')).toBe(980);
  });

  it('treat calls without a tenant as one of them', () => {
    const { fill, held } = tierOf({ maxEntries: 1_000 });
    fill(undefined, 400);
    fill('loud', 5_000);
    expect([held(undefined), held('loud')]).toEqual([400, 600]);
    const turned = tierOf({ maxEntries: 1_000 });
    turned.fill('quiet', 400);
    turned.fill(undefined, 5_000);
    expect([turned.held(undefined), turned.held('quiet')]).toEqual([600, 400]);
  });

  it('keep to their quota, and lose only their own entries for it', () => {
    const reasons = new Set<string>();
    const { tier, fill, held } = tierOf({ maxBytes: 10_000_000, maxBytesPerTenant: 100_000, reasons });
    fill('a', 50, 'key', 700);
    fill('b', 5_000, 'key', 700);
    fill(undefined, 1_000, 'key', 700);
    expect(held('a')).toBe(50);
    expect(held(undefined)).toBe(1_000);
    expect(held('b')).toBeGreaterThan(100);
    expect(held('b')).toBeLessThan(125);
    expect(reasons).toEqual(new Set(['tenant']));
    expect(tier.get('b', 'key 0')?.partition.bytes ?? 0).toBeLessThanOrEqual(100_000);
  });

  it('refuse a newcomer that would have the largest share, and leave its other entries alone', () => {
    const { tier, fill, held } = tierOf({ maxBytes: 200_000 });
    for (let tenant = 0; tenant < 20; tenant++) fill(`${tenant}`, 21, 'key', 200);
    fill('newcomer', 1, 'modest', 200);
    const { size } = tier;
    expect(tier.set('newcomer', 'huge', fieldsOf(15_000))).toBeUndefined();
    expect(tier.get('newcomer', 'modest 0')).toBeDefined();
    expect(tier.size).toBe(size);
    expect(held('0')).toBe(21);
  });

  describe('that come and go', () => {
    it('leave room for the next ones, all of their entries for it, the one unused for longest first', () => {
      const { fill, held } = tierOf({ maxEntries: 5_000 });
      for (let user = 0; user < 20_000; user++) fill(`user ${user}`, 5);
      const present = Array.from({ length: 20_000 }, (_, user) => held(`user ${user}`));
      expect(present.slice(-900).every((count) => count === 5)).toBe(true);
      expect(present.slice(0, 15_000).every((count) => count === 0)).toBe(true);
    });

    it('do not push out one that is used', () => {
      const { tier, fill, held } = tierOf({ maxEntries: 5_000 });
      fill('regular', 5);
      for (let user = 0; user < 20_000; user++) {
        fill(`user ${user}`, 5);
        const entry = user % 500 === 0 && tier.get('regular', 'key 3');
        if (entry) tier.use(entry);
      }
      expect(held('regular')).toBe(5);
    });

    it('cannot be feigned by one that leaves and comes back to push out the quiet', () => {
      const { tier, fill, held } = tierOf({ maxEntries: 1_000 });
      fill('quiet', 400);
      for (let turn = 0; turn < 2_000; turn++) {
        fill(`restless ${turn % 90}`, 1);
        tier.delete(`restless ${turn % 90}`, 'key 0');
        fill('loud', 3, `turn ${turn}`);
      }
      expect(held('quiet')).toBe(400);
    });
  });

  it('are protected however many came and went before them', () => {
    const { tier, fill, held } = tierOf({ maxEntries: 1_000 });
    for (let user = 0; user < 1_000; user++) {
      fill(`user ${user}`, 1);
      tier.delete(`user ${user}`, 'key 0');
    }
    fill('quiet', 400);
    fill('loud', 5_000);
    expect(held('quiet')).toBe(400);
  });

  it('stay in order when what a cleared tier held is used', () => {
    const { tier, fill } = tierOf({ maxEntries: 100 });
    fill('a', 50);
    const stale = tier.get('a', 'key 1');
    for (let user = 0; user < 20; user++) fill(`user ${user}`, 1);
    tier.clear();
    fill('b', 1);
    expect(stale).toBeDefined();
    if (stale) tier.use(stale);
    for (let user = 300; user < 900; user++) fill(`user ${user}`, 1);
    const present = Array.from({ length: 900 }, (_, user) => tier.get(`user ${user}`, 'key 0')).filter(Boolean);
    expect([tier.size, present.length]).toEqual([100, 100]);
  });
});

function tierOf(options: {
  readonly maxEntries?: number;
  readonly maxBytes?: number;
  readonly maxBytesPerTenant?: number;
  readonly reasons?: Set<string>;
}) {
  const { maxEntries = 1_000_000, maxBytes = 1e9, maxBytesPerTenant, reasons } = options;
  const held = new Map<string | undefined, number>();
  const count = (tenant: string | undefined, change: number) => held.set(tenant, (held.get(tenant) ?? 0) + change);
  const tier = new MemoryTier({
    maxEntries,
    maxBytes,
    maxBytesPerTenant,
    eviction: 's3-fifo',
    onEvict({ tenant }, reason) {
      reasons?.add(reason);
      count(tenant, -1);
    },
  });
  return {
    tier,
    fill(tenant: string | undefined, entries: number, prefix = 'key', valueBytes = 10) {
      for (let number = 0; number < entries; number++) {
        const key = `${prefix} ${number}`;
        if (!tier.get(tenant, key)) count(tenant, 1);
        tier.set(tenant, key, fieldsOf(valueBytes));
      }
    },
    held: (tenant: string | undefined) => held.get(tenant) ?? 0,
  };
}

function fieldsOf(valueBytes: number): MemoryFields {
  const times = { storedAt: 0, freshUntil: 0, keptUntil: 0, computeMs: 1 };
  return { value: 1, isShareable: true, ...times, tags: undefined, fence: 0, id: undefined, valueBytes };
}
