import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { memorySpill } from '../../test/stream-set-up.js';
import { isWarmpathError } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { createCodec } from './codec/codec.js';
import type { ChunkSource, LoggedChunk } from './streams/chunk.js';
import { SharedStream } from './streams/shared-stream.js';
import type { StreamReader } from './streams/stream-reader.js';

type Step =
  | { readonly do: 'join' | 'end' | 'fail' }
  | { readonly do: 'ask' | 'leave' | 'abort'; readonly who: number }
  | { readonly do: 'give'; readonly count: number };

const chunkBytes = 10;

/** What one reader has seen, and what it waits for. */
class Observer {
  readonly seen: unknown[] = [];
  readonly leaving = new AbortController();
  /** How many calls of `next` have not been answered. */
  asking = 0;
  isDone = false;
  hasLeft = false;
  error: unknown;
  reader: StreamReader<unknown> | undefined;

  ask(): void {
    if (!this.reader) throw new Error('It has not joined');
    this.asking++;
    this.reader
      .next()
      .then(({ done = false, value }) => {
        this.isDone ||= done;
        if (!done) this.seen.push(value);
      })
      .catch((error: unknown) => {
        this.error = error;
      })
      .finally(() => this.asking--);
  }

  get isOver(): boolean {
    return this.isDone || this.hasLeft || this.error !== undefined;
  }
}

class Story implements ChunkSource {
  readonly clock = createFakeClock();
  readonly spill = memorySpill();
  readonly stream: SharedStream;
  readonly observers: Observer[] = [];
  readonly failure = new Error('the source has failed');
  readonly maxBytes: number;
  readonly isFilled: boolean;
  /** All that the source has given. */
  given = 0;
  largestBatch = 1;
  end: 'ended' | 'failed' | undefined;
  stops = 0;
  trims = 0;
  readonly ends: string[] = [];
  kept: readonly unknown[] | undefined;
  #pull: PromiseWithResolvers<IteratorResult<readonly LoggedChunk[], undefined>> | undefined;

  constructor(setUp: { maxBytes: number; isFilled: boolean; hasSpill: boolean; room: number }) {
    this.maxBytes = setUp.maxBytes;
    this.isFilled = setUp.isFilled;
    this.spill.room = setUp.room;
    const owner = {
      onTrimmed: () => void this.trims++,
      isToBeFilled: () => this.isFilled && this.trims === 0,
      abort: () => void this.ends.push('abort'),
      onEnd: () => {
        this.ends.push('end');
        this.kept = this.stream.log.whole(Number.POSITIVE_INFINITY)?.map(({ value }) => value);
      },
      onFail: () => void this.ends.push('fail'),
      onAbandoned: () => void this.ends.push('abandoned'),
    };
    this.stream = new SharedStream(this, owner, {
      clock: this.clock,
      now: () => this.clock.now(),
      maxBytes: setUp.maxBytes,
      spill: setUp.hasSpill ? this.spill : undefined,
      codec: createCodec({}),
      isolation: 'frozen',
      key: 'test',
    });
  }

  next(): Promise<IteratorResult<readonly LoggedChunk[], undefined>> {
    expect(this.#pull, 'one pull at a time').toBeUndefined();
    const wanted = this.observers.some(
      ({ asking, isOver, reader }) => asking > 0 && !isOver && reader?.position === this.given,
    );
    const isDraining = this.isFilled && this.observers.length > 0;
    expect(wanted || isDraining, 'somebody wants the chunk that is pulled').toBe(true);
    this.#pull = Promise.withResolvers();
    return this.#pull.promise;
  }

  async stop(): Promise<void> {
    this.stops++;
    throw new Error('nobody is left to be told of it');
  }

  run(step: Step): void {
    if (step.do === 'join') this.#join();
    else if (step.do === 'give') this.#give(step.count);
    else if ('who' in step) this.#of(step.do, this.observers[step.who % Math.max(1, this.observers.length)]);
    else this.#end(step.do);
  }

  /** What holds after each step, once all is quiet. */
  check(): void {
    for (const observer of this.observers) this.#checkOne(observer);
    const { start } = this.stream.log;
    const present = this.observers.filter(({ isOver, reader }) => !isOver && (reader?.position ?? 0) >= start);
    const isBegun = this.observers.length > 0;
    const isAbandoned = isBegun && present.length === 0 && this.stops > 0;
    expect(this.stops).toBeLessThanOrEqual(1);
    const isFilling = this.isFilled && this.trims === 0;
    if (isBegun && present.length === 0 && !this.end && !isFilling) expect(this.stops).toBe(1);
    if (this.end) expect(this.stops).toBe(0);
    if (present.length > 0) expect(this.stops).toBe(0);
    expect(this.ends).toEqual(
      this.end === 'ended' ? ['end'] : this.end === 'failed' ? ['fail'] : isAbandoned ? ['abandoned', 'abort'] : [],
    );
    const { bytes, isTrimmed } = this.stream.log;
    if (isTrimmed) expect(this.spill.files()).toBe(0);
    // Where the fastest has left, or a drain is ahead of all readers, there is one pull more than those who are there need.
    const pullBytes = this.largestBatch * chunkBytes;
    expect(bytes).toBeLessThanOrEqual(Math.max(this.maxBytes, pullBytes) + pullBytes);
    if (this.stream.outcome && present.length === 0) expect([bytes, this.spill.files()]).toEqual([0, 0]);
    if (this.end === 'ended') expect(this.kept).toEqual(this.trims > 0 ? undefined : numbers(this.given));
    expect(this.trims).toBeLessThanOrEqual(1);
    if (!isTrimmed && this.trims > 0) throw new Error('It is said to be trimmed, and is not');
  }

  #checkOne({ seen, asking, isOver, isDone, error, leaving }: Observer): void {
    if (isOver) expect(getEventListeners(leaving.signal, 'abort')).toEqual([]);
    expect(seen).toEqual(numbers(seen.length));
    if (asking > 0 && !isOver) {
      expect(seen.length, 'a chunk that is there is given').toBe(this.given);
      expect(this.end, 'an end that is there is told').toBeUndefined();
    }
    if (isDone && !this.observers.some(({ hasLeft }) => hasLeft)) expect(this.end).toBe('ended');
    if (error === this.failure) expect([this.end, seen.length]).toEqual(['failed', this.given]);
    else if (isWarmpathError(error, 'WP_OVERLOADED')) {
      expect(this.trims).toBe(1);
      // A drain counts as one, too: what it has moved to a file is lost once the file is full.
      const ahead = this.isFilled || this.observers.some(({ reader }) => (reader?.position ?? 0) > seen.length);
      expect(ahead, 'the fastest is not too slow').toBe(true);
    } else if (error !== undefined) expect(error).toBe(leaving.signal.reason);
  }

  #join(): void {
    if (this.end || this.stream.outcome || this.trims > 0) return; // newcomers begin anew
    const observer = new Observer();
    observer.reader = this.stream.read(observer.leaving.signal);
    this.observers.push(observer);
  }

  #of(what: 'ask' | 'leave' | 'abort', observer: Observer | undefined): void {
    if (!observer || observer.isOver) return;
    if (what === 'ask') observer.ask();
    else if (what === 'abort') {
      observer.leaving.abort(new Error('aborted'));
      observer.hasLeft = true;
    } else {
      observer.hasLeft = true;
      void observer.reader?.return();
    }
  }

  #give(count: number): void {
    const pull = this.#pull;
    if (!pull) return;
    this.#pull = undefined;
    const chunks = numbers(count).map((at) => ({
      value: this.given + at,
      isShareable: true,
      atMs: this.given + at,
      bytes: chunkBytes,
    }));
    if (!this.stream.outcome) {
      this.given += count;
      this.largestBatch = Math.max(this.largestBatch, count);
    }
    pull.resolve({ done: false, value: chunks });
  }

  #end(how: 'end' | 'fail'): void {
    const pull = this.#pull;
    if (!pull) return;
    this.#pull = undefined;
    if (!this.stream.outcome) this.end = how === 'end' ? 'ended' : 'failed';
    if (how === 'end') pull.resolve({ done: true, value: undefined });
    else pull.reject(this.failure);
  }
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

const who = fc.nat(5);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ do: 'join' } as const) },
  { weight: 12, arbitrary: fc.record({ do: fc.constant('ask' as const), who }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('give' as const), count: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('leave' as const, 'abort' as const), who }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('end' as const, 'fail' as const) }) },
);

it('gives each reader every chunk once and in order, or its source’s error, or says that it was too slow', () => {
  return fc.assert(
    fc.asyncProperty(
      fc.record({
        maxBytes: fc.integer({ min: 5, max: 60 }),
        isFilled: fc.boolean(),
        hasSpill: fc.boolean(),
        room: fc.constantFrom(0, 2, Number.POSITIVE_INFINITY),
      }),
      fc.array(step, { maxLength: 60 }),
      async (setUp, steps) => {
        const story = new Story(setUp);
        for (const each of [{ do: 'join' } as const, ...steps]) {
          story.run(each);
          await quiet();
          story.check();
        }
        for (const observer of story.observers) observer.reader?.return();
        for (const observer of story.observers) observer.hasLeft = true;
        await story.clock.advance(10 * 60_000); // a fill whose source says nothing more is given up
        story.check();
        expect([story.stream.log.bytes, story.spill.files(), story.clock.pending]).toEqual([0, 0, 0]);
      },
    ),
    { numRuns: 1_000 },
  );
});

/** All promise jobs that are there, and those that follow. */
async function quiet(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
