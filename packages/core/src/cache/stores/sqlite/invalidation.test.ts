import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sqliteFiles } from '../../../../test/sqlite-files.js';
import { createFakeClock, memoryStore } from '../../../testing/index.js';
import { StoreProbe } from '../../../testing/store-probe.js';
import type { Fence, Invalidation } from '../../store.js';
import type { SqliteStoreOptions } from './sqlite-store.js';

const { newFile, open, connect } = sqliteFiles();

/** Probes of stores on one file, as several processes have them. */
function probes(count: number, options: Partial<SqliteStoreOptions> = {}): StoreProbe[] {
  const file = newFile();
  const clock = createFakeClock();
  return Array.from({ length: count }, () => new StoreProbe(open({ file, ...options }), clock));
}

const keys = ['a', 'b', 'c'];
const tags = ['t', 'u'];
const anyKeys = fc.subarray(keys, { minLength: 1 });
const anyTags = fc.subarray(tags, { minLength: 1 });
const anyInvalidation: fc.Arbitrary<Invalidation> = fc.oneof(
  fc.record({ type: fc.constant('delete' as const), keys: anyKeys }),
  fc.record({ type: fc.constant('expire' as const), keys: anyKeys }),
  fc.record({ type: fc.constant('tags' as const), tags: anyTags }),
  fc.record({ type: fc.constant('clear' as const) }),
);
const anyStore = fc.nat(1);
const anyKey = fc.constantFrom(...keys);
const numRuns = 100;
const timeout = 30_000;

/** A new file takes its time on the disk; a new namespace is as good. */
let runs = 0;
const nextNamespace = (): string => `run ${runs++}`;

describe('two SQLite stores on one file', () => {
  it('store, refuse and serve exactly what a log of everything says, whatever the order', { timeout }, async () => {
    const stores = probes(2);
    const anyCommand = fc.oneof(
      fc.record({ do: fc.constant('invalidate' as const), by: anyStore, invalidation: anyInvalidation }),
      fc.record({ do: fc.constant('begin' as const), by: anyStore, key: anyKey, slot: fc.nat(3) }),
      fc.record({
        do: fc.constant('set' as const),
        by: anyStore,
        key: anyKey,
        slot: fc.option(fc.nat(3)),
        tags: fc.subarray(tags),
      }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(anyCommand, { maxLength: 40 }), async (commands) => {
        const namespace = nextNamespace();
        const real = stores.map((probe) => probe.in(namespace));
        const first = memoryStore();
        const model = [first, first.peer()].map((store) => new StoreProbe(store, createFakeClock()));
        const fences = new Map<number, readonly [real: Fence, model: Fence]>();
        for (const [step, command] of commands.entries()) {
          const [ours, theirs] = [real[command.by], model[command.by]];
          if (!ours || !theirs) continue;
          if (command.do === 'invalidate') {
            for (const probe of [ours, theirs]) await probe.invalidate(command.invalidation);
          } else if (command.do === 'begin') {
            fences.set(command.slot, [await ours.fence([command.key]), await theirs.fence([command.key])]);
          } else {
            const [fence, modelFence] = fences.get(command.slot ?? -1) ?? [];
            const sample = { tags: command.tags };
            const isStored = await ours.set(command.key, `${step}`, { ...sample, fence });
            expect(isStored).toBe(await theirs.set(command.key, `${step}`, { ...sample, fence: modelFence }));
          }
          for (const probe of real) expect(await seen(probe)).toEqual(await seen(theirs));
        }
      }),
      { numRuns },
    );
  });

  it('never leave each other with a value in memory that is out of date, once they have asked', {
    timeout,
  }, async () => {
    const stores = probes(2);
    const anyCommand = fc.oneof(
      fc.record({ do: fc.constant('invalidate' as const), by: anyStore, invalidation: anyInvalidation }),
      fc.record({ do: fc.constant('set' as const), by: anyStore, key: anyKey, tags: fc.subarray(tags) }),
      fc.record({ do: fc.constant('load' as const), by: anyStore, key: anyKey }),
      fc.record({ do: fc.constant('hit' as const), by: anyStore, key: anyKey }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(anyCommand, { maxLength: 60 }), async (commands) => {
        const namespace = nextNamespace();
        const memories = stores.map((probe) => new Memory(probe.in(namespace)));
        const log: Invalidation[] = [];
        for (const command of commands) {
          const memory = memories[command.by];
          if (!memory) continue;
          if (command.do === 'invalidate') {
            memory.apply(command.invalidation);
            log.push(command.invalidation);
            await memory.probe.invalidate(command.invalidation);
          } else if (command.do === 'set') {
            await memory.probe.set(command.key, 'value', { tags: command.tags });
          } else if (command.do === 'load') {
            await memory.load(command.key, log.length);
          } else {
            memory.hit(command.key, log);
          }
        }
        for (const memory of memories) memory.close();
      }),
      { numRuns },
    );
  });
});

/** What the store answers, with what must not be served apart from what may stand in. */
async function seen(probe: StoreProbe): Promise<readonly (string | undefined)[]> {
  const { entries } = await probe.read(keys);
  return entries.map((entry) => {
    if (entry === undefined || entry === 'unreadable') return entry;
    return `${Buffer.from(entry.bytes)}${entry.freshUntil === 0 ? ' expired' : ''}`;
  });
}

/** The tier above: keeps what it has read, until it is told otherwise. */
class Memory {
  readonly probe: StoreProbe;
  readonly #feed;
  readonly #copies = new Map<string, { readonly since: number; readonly tags: readonly string[]; expired: boolean }>();

  constructor(probe: StoreProbe) {
    this.probe = probe;
    this.#feed = probe.store.openFeed?.(probe.namespace);
  }

  async load(key: string, since: number): Promise<void> {
    this.#catchUp();
    const entry = await this.probe.get(key);
    if (entry) this.#copies.set(key, { since, tags: entry.tags, expired: entry.freshUntil === 0 });
  }

  hit(key: string, log: readonly Invalidation[]): void {
    this.#catchUp();
    const copy = this.#copies.get(key);
    if (!copy) return;
    const covering = log.slice(copy.since).filter((each) => {
      if (each.type === 'clear') return true;
      return each.type === 'tags' ? each.tags.some((tag) => copy.tags.includes(tag)) : each.keys.includes(key);
    });
    expect(covering.filter(({ type }) => type !== 'expire')).toEqual([]);
    if (!copy.expired) expect(covering).toEqual([]);
  }

  apply(news: Invalidation): void {
    for (const [key, copy] of this.#copies) {
      if (news.type === 'clear' || (news.type === 'tags' && news.tags.some((tag) => copy.tags.includes(tag)))) {
        this.#copies.delete(key);
      } else if (news.type === 'delete' && news.keys.includes(key)) this.#copies.delete(key);
      else if (news.type === 'expire' && news.keys.includes(key)) copy.expired = true;
    }
  }

  close(): void {
    this.#feed?.close();
  }

  #catchUp(): void {
    const news = this.#feed?.poll();
    if (news === 'gap') this.#copies.clear();
    else for (const each of news ?? []) this.apply(each);
  }
}

describe('a fence', () => {
  it('of another file, of a file that is gone, or of another store is void', async () => {
    const [probe] = probes(1);
    const [other] = probes(1);
    if (!probe || !other) return expect.unreachable();
    expect(await probe.set('key', 'value', { fence: await other.fence(['key']) })).toBe(false);
    expect(await probe.set('key', 'value', { fence: 12 })).toBe(false);
    expect(await probe.set('key', 'value', { fence: null })).toBe(false);
    expect(await probe.set('key', 'value', { fence: await probe.fence(['key']) })).toBe(true);
  });

  it('holds across stores on one file, and when they are opened again', async () => {
    const file = newFile();
    const clock = createFakeClock();
    const first = open({ file, clock });
    const fence = await new StoreProbe(first, clock).fence(['key']);
    await first.close();
    const again = new StoreProbe(open({ file, clock }), clock);
    expect(await again.set('key', 'value', { fence })).toBe(true);
    await again.delete('key');
    expect(await again.set('key', 'value', { fence })).toBe(false);
  });

  it('is as new as the read that it came with, of one key or of several', async () => {
    const [ours, theirs] = probes(2);
    if (!ours || !theirs) return expect.unreachable();
    for (const asked of [['key'], ['key', 'other'], []]) {
      await ours.set('key', 'value');
      const old = await ours.fence(asked);
      await theirs.delete('key');
      expect(await ours.set('key', 'value', { fence: await ours.fence(asked) })).toBe(true);
      expect(await ours.set('key', 'value', { fence: old })).toBe(false);
    }
  });

  it('of another namespace’s quiet times stays good however much is invalidated elsewhere', async () => {
    const [probe] = probes(1, { maxBytes: '1MB' });
    if (!probe) return expect.unreachable();
    await probe.delete('once');
    const fence = await probe.fence(['key']);
    for (let index = 0; index < 3_000; index += 100) await probe.in('busy').delete(...names(index));
    expect(await probe.set('key', 'value', { tags: ['tag'], fence })).toBe(true);
    expect(await probe.text('key')).toBe('value');
  });

  it('older than what is remembered is void', async () => {
    const [probe] = probes(1, { maxBytes: '1MB' });
    if (!probe) return expect.unreachable();
    const fence = await probe.fence(['key']);
    for (let index = 0; index < 3_000; index += 100) await probe.delete(...names(index));
    expect(await probe.set('key', 'value', { fence })).toBe(false);
    expect(await probe.set('key', 'value', { fence: await probe.fence(['key']) })).toBe(true);
  });
});

const names = (from: number): string[] => Array.from({ length: 100 }, (_, index) => `name ${from + index}`);

describe('marks of tags', () => {
  it('take entries with them that they may rule when they are forgotten, and no others', async () => {
    const [probe] = probes(1, { maxBytes: '1MB' });
    if (!probe) return expect.unreachable();
    await probe.set('tagged', 'old', { tags: ['tag'] });
    await probe.set('plain', 'old');
    await probe.in('other').set('tagged', 'old', { tags: ['tag'] });
    await probe.invalidateTags('tag');
    for (let index = 0; index < 3_000; index += 100) await probe.invalidateTags(...names(index));
    expect(await probe.texts(['tagged', 'plain'])).toEqual([undefined, 'old']);
    expect(await probe.in('other').text('tagged')).toBe('old');
    await probe.set('tagged', 'new', { tags: ['tag'] });
    expect(await probe.text('tagged')).toBe('new');
  });

  it('and of keys stay within a bound', async () => {
    const file = newFile();
    const clock = createFakeClock();
    const probe = new StoreProbe(open({ file, clock, maxBytes: '1MB' }), clock);
    for (let index = 0; index < 20_000; index += 500) {
      await probe.delete(...names(index), ...names(index + 100), ...names(index + 200), ...names(index + 300));
      await probe.invalidateTags(...names(index), ...names(index + 100));
      await clock.advance(100);
    }
    const db = connect(file);
    const count = (table: string) => Object.values(db.prepare(`select count(*) from ${table}`).get() ?? {})[0];
    expect(count('cache1_key_mark')).toBeLessThan(1_000);
    expect(count('cache1_tag_mark')).toBeLessThan(1_000);
    const sums = db
      .prepare(
        `select (select sum(length(name) + 64) from cache1_key_mark) - key_mark_bytes as keys,
         (select sum(length(name) + 64) from cache1_tag_mark) - tag_mark_bytes as tags from cache1_file`,
      )
      .get();
    expect({ ...sums }).toEqual({ keys: 0, tags: 0 });
  });
});
