import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Random, seededRandom } from '../../kernel/index.js';
import { MemoryEntry, type MemoryFields } from './memory-entry.js';
import { MemoryTier } from './memory-tier.js';
import { Partition } from './partition.js';

describe('S3-FIFO', () => {
  it('picks the victims of the paper when all cost the same per byte, whatever that is', () => {
    const request = fc.integer({ min: 0, max: 40 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 25 }),
        fc.constantFrom(0, 1, 3, 1_024, 0.25),
        fc.array(request, { maxLength: 600, size: 'max' }),
        (maxEntries, msPerByte, requests) => {
          const victims: string[] = [];
          const tier = tierOf({ maxEntries, onEvict: (key) => victims.push(key) });
          const paper = new Paper(maxEntries);
          for (const number of requests) {
            const key = `key ${number}`;
            ask(tier, key, (bytes) => msPerByte * bytes);
            paper.ask(key);
            expect(victims).toEqual(paper.victims);
          }
        },
      ),
    );
  });

  it('lets a scan through without losing what is in use, which LRU does not', () => {
    const hitsAfterScan = (eviction: 's3-fifo' | 'lru'): number => {
      const tier = tierOf({ maxEntries: 1_000, eviction });
      for (let round = 0; round < 5; round++) for (let key = 0; key < 800; key++) ask(tier, `hot ${key}`);
      for (let key = 0; key < 50_000; key++) ask(tier, `scanned ${key}`);
      return Array.from({ length: 800 }, (_, key) => tier.get(undefined, `hot ${key}`)).filter(Boolean).length;
    };
    expect(hitsAfterScan('s3-fifo')).toBe(800);
    expect(hitsAfterScan('lru')).toBe(0);
  });

  it('takes a key that comes back soon after it left into the main queue at once', () => {
    const tier = tierOf({ maxEntries: 100 });
    for (let key = 0; key < 150; key++) ask(tier, `key ${key}`);
    expect(ask(tier, 'key 40')?.queue).toBe(2);
    expect(ask(tier, 'new')?.queue).toBe(1);
  });

  it('holds more of a Zipf workload than LRU', () => {
    const zipf = zipfKeys(seededRandom(1), 20_000, 100_000);
    const hitRate = (eviction: 's3-fifo' | 'lru') => {
      const tier = tierOf({ maxEntries: 200, eviction });
      let hits = 0;
      for (const key of zipf) {
        if (tier.get(undefined, key)) hits++;
        ask(tier, key);
      }
      return hits / zipf.length;
    };
    expect(hitRate('s3-fifo')).toBeGreaterThan(hitRate('lru') + 0.05);
  });

  it('measures the small queue in bytes when bytes are short', () => {
    const tier = tierOf({ maxEntries: 1_000_000, maxBytes: 1_000_000 });
    for (let round = 0; round < 4; round++) for (let key = 0; key < 900; key++) ask(tier, `hot ${key}`, () => 0, 500);
    for (let key = 0; key < 2_000; key++) ask(tier, `large ${key}`, () => 0, 20_000);
    const hot = Array.from({ length: 900 }, (_, key) => tier.get(undefined, `hot ${key}`)).filter(Boolean);
    expect(hot).toHaveLength(900);
    expect(hot[0]?.partition.small.size).toBeLessThan(30);
  });

  it('never passes over more than a thousand entries at once, however many have earned to stay', () => {
    const tier = tierOf({ maxEntries: 20_000 });
    for (let round = 0; round < 5; round++) for (let key = 0; key < 20_000; key++) ask(tier, `hot ${key}`);
    const first = ask(tier, 'one more')?.partition;
    expect(first?.main.size).toBeLessThan(1_100);
    for (let key = 0; key < 40; key++) ask(tier, `more ${key}`);
    expect(tier.size).toBe(20_000);
    expect(first?.small.size).toBeLessThan(20_000);
  });

  describe('cost', () => {
    it('leaves what is dear to compute in longer than what is cheap, both unused', () => {
      const tier = tierOf({ maxEntries: 100 });
      for (let key = 0; key < 500; key++) ask(tier, `cheap ${key}`, () => 10);
      ask(tier, 'dear', () => 1_000);
      for (let key = 500; key < 650; key++) ask(tier, `cheap ${key}`, () => 10);
      expect(tier.get(undefined, 'cheap 500')).toBeUndefined();
      expect(tier.get(undefined, 'dear')).toBeDefined();
    });

    it('lets go of what is dear but never used again', () => {
      const tier = tierOf({ maxEntries: 100 });
      for (let key = 0; key < 500; key++) ask(tier, `cheap ${key}`, () => 10);
      for (let key = 0; key < 30; key++) ask(tier, `dear ${key}`, () => 1_000);
      for (let key = 500; key < 5_000; key++) ask(tier, `cheap ${key}`, () => 10);
      for (let key = 0; key < 30; key++) expect(tier.get(undefined, `dear ${key}`)).toBeUndefined();
    });

    it('lets a scan of dear keys push out nothing that is in use', () => {
      const tier = tierOf({ maxEntries: 1_000 });
      for (let round = 0; round < 5; round++) for (let key = 0; key < 800; key++) ask(tier, `hot ${key}`, () => 1);
      for (let key = 0; key < 50_000; key++) ask(tier, `scanned ${key}`, () => 1_000);
      for (let key = 0; key < 800; key++) expect(tier.get(undefined, `hot ${key}`), `hot ${key}`).toBeDefined();
    });

    it('counts for the bytes that it is spent on', () => {
      const tier = tierOf({ maxEntries: 100 });
      for (let key = 0; key < 500; key++) ask(tier, `usual ${key}`, () => 10, 1_000);
      ask(tier, 'large', () => 10, 10_000);
      ask(tier, 'small', () => 10, 10);
      for (let key = 500; key < 650; key++) ask(tier, `usual ${key}`, () => 10, 1_000);
      expect(tier.get(undefined, 'large')).toBeUndefined();
      expect(tier.get(undefined, 'small')).toBeDefined();
    });

    it('is dear or cheap by what came in last', () => {
      const tier = tierOf({ maxEntries: 100 });
      for (let key = 0; key < 20_000; key++) ask(tier, `cheap ${key}`, () => 10);
      for (let key = 0; key < 5_000; key++) ask(tier, `dear ${key}`, () => 1_000);
      ask(tier, 'as dear as the last', () => 1_000);
      for (let key = 20_000; key < 20_150; key++) ask(tier, `cheap ${key}`, () => 10);
      expect(tier.get(undefined, 'as dear as the last')).toBeUndefined();
    });

    it('that is not known says nothing, neither of the entry nor of what is usual', () => {
      const tier = tierOf({ maxEntries: 100 });
      for (let key = 0; key < 500; key++) ask(tier, `unknown ${key}`, () => 0);
      ask(tier, 'known', () => 1_000);
      ask(tier, 'odd', () => Number.NaN);
      for (let key = 500; key < 650; key++) ask(tier, `unknown ${key}`, () => 0);
      expect(tier.get(undefined, 'known'), 'the only known cost is the usual one').toBeUndefined();
      expect(tier.get(undefined, 'odd')).toBeUndefined();
      expect(tier.size).toBe(100);
    });

    it('cuts the time spent on computing without costing many hits', () => {
      const zipf = zipfKeys(seededRandom(2), 20_000, 100_000);
      const isDear = new Map(zipf.map((key) => [key, Number(key.slice(4)) % 20 === 7]));
      const spent = (seesCost: boolean) => {
        const tier = tierOf({ maxEntries: 200 });
        const total = { ms: 0, hits: 0 };
        for (const key of zipf) {
          const ms = isDear.get(key) ? 100 : 1;
          if (tier.get(undefined, key)) total.hits++;
          else total.ms += ms;
          ask(tier, key, () => (seesCost ? ms : 1));
        }
        return total;
      };
      const [aware, blind] = [spent(true), spent(false)];
      expect(aware.ms).toBeLessThan(0.9 * blind.ms);
      expect(aware.hits).toBeGreaterThan(0.98 * blind.hits);
    });
  });
});

function tierOf(options: {
  readonly maxEntries: number;
  readonly maxBytes?: number;
  readonly eviction?: 's3-fifo' | 'lru';
  readonly onEvict?: (key: string) => void;
}): MemoryTier {
  const { maxEntries, maxBytes = 1e9, eviction = 's3-fifo', onEvict } = options;
  return new MemoryTier({
    maxEntries,
    maxBytes,
    maxBytesPerTenant: undefined,
    eviction,
    onEvict: ({ key }) => onEvict?.(key),
  });
}

/** What a cache does for each request: a hit counts as use, a miss is computed and kept. */
function ask(tier: MemoryTier, key: string, msOf: (bytes: number) => number = () => 0, valueBytes = 100) {
  const known = tier.get(undefined, key);
  if (known) {
    tier.use(known);
    return known;
  }
  const free = fieldsOf(valueBytes, 0);
  const { bytes } = new MemoryEntry(new Partition(undefined, 0), key, free);
  return tier.set(undefined, key, { ...free, computeMs: msOf(bytes) });
}

function fieldsOf(valueBytes: number, computeMs: number): MemoryFields {
  const times = { storedAt: 0, freshUntil: 0, keptUntil: 0, computeMs };
  return { value: 1, isShareable: true, ...times, tags: undefined, fence: 0, id: undefined, valueBytes };
}

/** Requests for keys of which the one of rank r is asked for in proportion to 1 / r. */
function zipfKeys(random: Random, keyCount: number, requests: number): string[] {
  const sums = [0];
  for (let rank = 1; rank <= keyCount; rank++) sums.push((sums[rank - 1] ?? 0) + 1 / rank);
  return Array.from({ length: requests }, () => {
    const wanted = random() * (sums[keyCount] ?? 0);
    let [low, high] = [0, keyCount];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) <= wanted) low = middle;
      else high = middle;
    }
    return `key ${low}`;
  });
}

interface Queued {
  readonly key: string;
  uses: number;
}

/** Algorithm 1 of the paper on arrays: a tenth in the small queue, and as many ghosts as the main queue holds. */
class Paper {
  readonly victims: string[] = [];
  readonly #capacity: number;
  readonly #small: Queued[] = [];
  readonly #main: Queued[] = [];
  readonly #ghosts: (string | undefined)[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  ask(key: string): void {
    const known = [...this.#small, ...this.#main].find((entry) => entry.key === key);
    if (known) {
      known.uses = Math.min(known.uses + 1, 3);
      return;
    }
    while (this.#small.length + this.#main.length >= this.#capacity) this.#evict();
    const ghost = this.#ghosts.lastIndexOf(key);
    const others = this.#small.length + this.#main.length;
    if (ghost >= 0 && ghost >= this.#ghosts.length - Math.ceil(0.9 * others)) {
      this.#ghosts[ghost] = undefined;
      this.#main.push({ key, uses: 0 });
    } else this.#small.push({ key, uses: 0 });
  }

  #evict(): void {
    const isSmallFull = this.#small.length >= 0.1 * this.#capacity || this.#main.length === 0;
    const first = isSmallFull ? this.#small.shift() : this.#main.shift();
    if (!first) return;
    if (isSmallFull && first.uses > 1) this.#main.push({ key: first.key, uses: 0 });
    else if (!isSmallFull && first.uses > 0) this.#main.push({ key: first.key, uses: first.uses - 1 });
    else {
      if (isSmallFull) this.#ghosts.push(first.key);
      this.victims.push(first.key);
    }
  }
}
