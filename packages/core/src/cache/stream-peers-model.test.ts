import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isWarmpathError, wait } from '../kernel/index.js';
import { chaosStore, createFakeClock, memoryStore, type Trouble } from '../testing/index.js';
import { type Cache, type CachedStream, createCache, type StreamComputation } from './index.js';

interface Source {
  readonly silentMs: number;
  readonly gapMs: number;
  readonly chunks: number;
  readonly isFailing: boolean;
}

interface Reading {
  readonly process: number;
  readonly joinMs: number;
  readonly pauseMs: number;
  /** Leaves after so many chunks. */
  readonly leavesAfter: number | undefined;
}

/** What happens to a process, or to its way to the store for some time. */
interface Mishap {
  readonly process: number;
  readonly atMs: number;
  readonly what: 'killed' | Trouble;
  readonly forMs: number;
}

interface Chunk {
  readonly run: number;
  readonly index: number;
}

interface Production {
  readonly run: number;
  readonly process: number;
  readonly from: number;
  /** When it ended, failed or was aborted. */
  to: number;
}

const processes = 4;
const sourceFailed = new Error('the source has failed');
/** How many a waiting process lets go before it; see StreamOpening. */
const mostRuns = 3;
/** By then all that waits for something has had it, or has given up. */
const longestMs = 90_000;

class Story {
  readonly clock = createFakeClock();
  readonly productions: Production[] = [];
  readonly #plain = memoryStore({ clock: this.clock });
  readonly #source: Source;
  readonly #killedAt: number[] = Array(processes).fill(Number.POSITIVE_INFINITY);
  readonly #stores = Array.from({ length: processes }, () => chaosStore(this.#plain.peer(), { clock: this.clock }));
  readonly #caches: readonly Cache[] = this.#stores.map((store) =>
    createCache({ name: 'test', clock: this.clock, random: () => 0.5, store }),
  );

  constructor(source: Source) {
    this.#source = source;
  }

  isDead(process: number): boolean {
    return this.clock.now() >= (this.#killedAt[process] ?? 0);
  }

  async suffer({ process, atMs, what, forMs }: Mishap): Promise<void> {
    await wait(this.clock, atMs);
    const store = this.#stores[process];
    if (what === 'killed') {
      this.#killedAt[process] = Math.min(this.#killedAt[process] ?? 0, this.clock.now());
      store?.trouble('hang');
      return;
    }
    if (this.isDead(process)) return;
    store?.trouble(what);
    await wait(this.clock, forMs);
    if (!this.isDead(process)) store?.trouble(undefined);
  }

  /** @returns how it ended for a reader whose process lives; undefined for one that has left or died */
  async read({ process, joinMs, pauseMs, leavesAfter }: Reading): Promise<string | undefined> {
    await wait(this.clock, joinMs);
    const cache = this.#caches[process];
    if (this.isDead(process) || !cache) return undefined;
    const seen: Chunk[] = [];
    try {
      const stream: CachedStream<Chunk> = await cache.stream('key', (of) => this.#produce(process, of));
      for await (const chunk of stream.chunks) {
        if (this.isDead(process)) return undefined;
        expect(chunk, 'every chunk once and in order, of one run').toEqual({
          run: seen[0]?.run ?? chunk.run,
          index: seen.length,
        });
        seen.push(chunk);
        if (seen.length === leavesAfter) return undefined;
        if (pauseMs > 0) await wait(this.clock, pauseMs);
      }
    } catch (error) {
      if (this.isDead(process)) return undefined;
      if (isWarmpathError(error, 'WP_STREAM_LOST')) {
        expect(seen.length, 'who has had nothing does not notice').toBeGreaterThan(0);
        return 'lost';
      }
      if ((error as Error).message !== sourceFailed.message) throw error;
      expect([this.#source.isFailing, seen.length]).toEqual([true, this.#source.chunks]);
      return 'failed';
    }
    if (this.isDead(process)) return undefined;
    expect([this.#source.isFailing, seen.length]).toEqual([false, this.#source.chunks]);
    return 'whole';
  }

  /**
   * The most that were under way at once in processes that lived, as long as none has waited for so many who all ended before their
   * first chunk that it produces by itself.
   */
  get mostAtOnce(): number {
    const productions = this.productions.slice(0, 1 + mostRuns);
    const end = ({ process, to }: Production): number => Math.min(to, this.#killedAt[process] ?? 0);
    const at = ({ from }: Production): number =>
      productions.filter((other) => other.from <= from && from < end(other)).length;
    return Math.max(0, ...productions.map(at));
  }

  async *#produce(process: number, { signal }: StreamComputation): AsyncGenerator<Chunk> {
    const production = { run: this.productions.length, process, from: this.clock.now(), to: Number.POSITIVE_INFINITY };
    this.productions.push(production);
    const { silentMs, gapMs, chunks, isFailing } = this.#source;
    try {
      await wait(this.clock, silentMs, signal);
      for (let index = 0; index < chunks; index++) {
        await wait(this.clock, gapMs, signal);
        yield { run: production.run, index };
      }
      if (isFailing) throw sourceFailed;
    } finally {
      production.to = this.clock.now();
    }
  }
}

const process = fc.nat(processes - 1);
const sources = fc.record({
  silentMs: fc.constantFrom(0, 0, 100, 3_000, 12_000),
  gapMs: fc.constantFrom(1, 7, 30, 400),
  chunks: fc.constantFrom(0, 1, 5, 40),
  isFailing: fc.constantFrom(false, false, false, true),
});
const readings = fc.array(
  fc.record({
    process,
    joinMs: fc.constantFrom(0, 0, 1, 10, 100, 1_000, 4_000, 9_000),
    pauseMs: fc.constantFrom(0, 0, 0, 50, 2_000),
    leavesAfter: fc.constantFrom(undefined, undefined, undefined, 1, 3),
  }),
  { minLength: 1, maxLength: 12 },
);
const killings = fc.array(
  fc.record({
    process,
    atMs: fc.constantFrom(1, 20, 90, 500, 2_000, 7_000),
    what: fc.constant('killed' as const),
    forMs: fc.constant(0),
  }),
  { maxLength: 2 },
);
const troubles = fc.array(
  fc.record({
    process,
    atMs: fc.constantFrom(0, 5, 60, 300, 2_000, 6_000),
    what: fc.constantFrom<Mishap['what']>('killed', 'hang', 'reject', 'full', 20, 45, 200),
    forMs: fc.constantFrom(100, 1_000, 4_000, 25_000),
  }),
  { minLength: 1, maxLength: 4 },
);

/** A store that went away while a follower had more to read was asked again and again in one turn, without end. */
const storeGoneWithMoreToRead: [Source, Reading[], Mishap[]] = [
  { silentMs: 0, gapMs: 30, chunks: 40, isFailing: false },
  [
    { process: 3, joinMs: 0, pauseMs: 2000, leavesAfter: 1 },
    { process: 1, joinMs: 9000, pauseMs: 0, leavesAfter: undefined },
    { process: 2, joinMs: 0, pauseMs: 50, leavesAfter: undefined },
    { process: 3, joinMs: 9000, pauseMs: 0, leavesAfter: 1 },
    { process: 2, joinMs: 100, pauseMs: 50, leavesAfter: 1 },
    { process: 1, joinMs: 10, pauseMs: 2000, leavesAfter: undefined },
    { process: 1, joinMs: 1000, pauseMs: 0, leavesAfter: 1 },
    { process: 0, joinMs: 10, pauseMs: 0, leavesAfter: undefined },
    { process: 3, joinMs: 0, pauseMs: 0, leavesAfter: undefined },
    { process: 2, joinMs: 0, pauseMs: 0, leavesAfter: undefined },
    { process: 1, joinMs: 1000, pauseMs: 50, leavesAfter: undefined },
  ],
  [
    { process: 1, atMs: 2000, what: 'hang', forMs: 25000 },
    { process: 2, atMs: 5, what: 'killed', forMs: 25000 },
    { process: 2, atMs: 5, what: 'full', forMs: 25000 },
  ],
];

async function tell(source: Source, all: readonly Reading[], mishaps: readonly Mishap[]) {
  const story = new Story(source);
  for (const mishap of mishaps) void story.suffer(mishap);
  const outcomes: (string | undefined)[] = all.map(() => 'pending');
  const failures: unknown[] = [];
  for (const [index, each] of all.entries()) {
    story.read(each).then(
      (outcome) => {
        outcomes[index] = outcome;
      },
      (error) => void failures.push(error),
    );
  }
  const slowestMs = Math.max(...all.map(({ pauseMs, joinMs }) => joinMs + pauseMs * source.chunks));
  await story.clock.advance(longestMs + slowestMs + source.silentMs + source.chunks * source.gapMs);
  expect(failures).toEqual([]);
  for (const [index, { process }] of all.entries()) {
    if (!story.isDead(process)) expect(outcomes[index], 'nobody waits for ever').not.toBe('pending');
  }
  return { story, outcomes };
}

it('of any processes that share a stream one produces at a time, and each reader has all of it, though producers die', () => {
  const property = fc.asyncProperty(sources, readings, killings, async (source, all, mishaps) => {
    const { story, outcomes } = await tell(source, all, mishaps);
    expect(story.mostAtOnce).toBeLessThanOrEqual(1);
    if (mishaps.length === 0) expect(outcomes).not.toContain('lost');
  });
  return fc.assert(property, { numRuns: 500 });
}, 120_000);

it('whatever happens to the store, each reader has every chunk once and in order, its source’s error, or WP_STREAM_LOST', () => {
  const property = fc.asyncProperty(sources, readings, troubles, async (source, all, mishaps) => {
    await tell(source, all, mishaps);
  });
  return fc.assert(property, { numRuns: 500, examples: [storeGoneWithMoreToRead] });
}, 120_000);
