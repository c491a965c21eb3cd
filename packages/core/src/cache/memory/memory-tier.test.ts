import { describe, expect, it } from 'vitest';
import type { MemoryEntry, MemoryFields } from './memory-entry.js';
import { MemoryTier, type MemoryTierOptions } from './memory-tier.js';

describe('MemoryTier', () => {
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
