import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, it, vi } from 'vitest';
import { runInContext, wait } from '../kernel/index.js';
import { createFakeClock, type FakeClock } from '../testing/index.js';
import {
  type AttemptEvent,
  BegunStream,
  createAttemptBudget,
  firstChunk,
  type HedgeOptions,
  hedge,
  type Step,
} from './index.js';

function setUp(options: HedgeOptions = {}) {
  const clock = createFakeClock();
  const events: AttemptEvent[] = [];
  const race = hedge({ name: 'ask', clock, onEvent: (event) => events.push(event), ...options });
  return { clock, events, race };
}

/** What the signal of a step was aborted with. */
const aborts = new WeakMap<object, unknown[]>();
const reasonsOf = ({ run }: { run: object }): unknown[] | undefined => aborts.get(run);

/** Answers after so long, or fails, and notes how its signal ended. */
function taking(name: string, clock: FakeClock, ms: number, error?: Error) {
  const reasons: unknown[] = [];
  const run = vi.fn(async ({ signal }: { signal: AbortSignal }) => {
    signal.addEventListener('abort', () => reasons.push(signal.reason));
    await wait(clock, ms);
    if (error) throw error;
    return name;
  });
  aborts.set(run, reasons);
  return { name, run };
}

describe('hedge', () => {
  it('asks one backend alone while that is not late', async () => {
    const { race, clock } = setUp({ after: '1s' });
    const spare = taking('b', clock, 10);
    const outcome = race([taking('a', clock, 999), spare]);
    await clock.advance(999);
    expect(await outcome).toEqual({ value: 'a', step: 'a', hedged: false });
    expect(spare.run).not.toHaveBeenCalled();
    expect(clock.pending).toBe(0);
  });

  it('asks another one where the first is late, takes the faster, and aborts the loser', async () => {
    const { race, clock, events } = setUp({ after: '1s' });
    const slow = taking('a', clock, 60_000);
    const outcome = race([slow, taking('b', clock, 200)]);
    await clock.advance(1_200);
    expect(await outcome).toEqual({ value: 'b', step: 'b', hedged: true });
    expect(reasonsOf(slow)).toMatchObject([{ name: 'AbortError', message: 'Another backend was faster.' }]);
    expect(
      events.map(({ name, number, kind, outcome: each, waitedMs, ms }) => [name, number, kind, each, waitedMs, ms]),
    ).toEqual([
      ['b', 2, 'hedge', 'ok', 1_000, 200],
      ['a', 1, 'first', 'aborted', 0, 1_200],
    ]);
  });

  it('lets the first win all the same where it is faster in the end', async () => {
    const { race, clock } = setUp({ after: '1s' });
    const second = taking('b', clock, 60_000);
    const outcome = race([taking('a', clock, 1_500), second]);
    await clock.advance(1_500);
    expect(await outcome).toEqual({ value: 'a', step: 'a', hedged: true });
    expect(reasonsOf(second)).toHaveLength(1);
  });

  it('fails at once with the first that fails before another is asked', async () => {
    const { race, clock } = setUp({ after: '1s' });
    const spare = taking('b', clock, 1);
    const outcome = race([taking('a', clock, 10, new Error('down')), spare]);
    outcome.catch(() => {});
    await clock.advance(10);
    await expect(outcome).rejects.toThrow('down');
    expect(spare.run).not.toHaveBeenCalled();
    expect(clock.pending).toBe(0);
  });

  it('waits for the other where one of two fails, and throws the first one’s error where both do', async () => {
    const { race, clock } = setUp({ after: '1s' });
    const won = race([taking('a', clock, 1_100, new Error('a down')), taking('b', clock, 500)]);
    await clock.advance(1_500);
    expect(await won).toMatchObject({ step: 'b', hedged: true });
    const lost = race([taking('a', clock, 2_000, new Error('a down')), taking('b', clock, 10, new Error('b down'))]);
    lost.catch(() => {});
    await clock.advance(2_000);
    await expect(lost).rejects.toThrow('a down');
  });

  it('learns when a backend is late: at its 95th percentile, once 20 calls are known', async () => {
    const { race, clock } = setUp();
    const spare = taking('b', clock, 10);
    const ask = async (ms: number): Promise<boolean> => {
      const outcome = race([taking('a', clock, ms), spare]);
      await clock.advance(ms + 20);
      return (await outcome).hedged;
    };
    expect(await ask(100_000)).toBe(false);
    for (let call = 1; call < 100; call++) expect(await ask(100 + (call % 10))).toBe(false);
    expect(await ask(5_000)).toBe(true);
    expect(spare.run).toHaveBeenCalledTimes(1);
  });

  it('asks nobody else where the budget is spent, or where the breakers of all others are open', async () => {
    const { race, clock } = setUp({
      after: '1s',
      budget: createAttemptBudget({ perSecond: 0, clock: createFakeClock() }),
    });
    const spare = taking('b', clock, 10);
    const poor = race([taking('a', clock, 5_000), spare]);
    await clock.advance(5_000);
    expect(await poor).toMatchObject({ step: 'a', hedged: false });
    const policy = Object.assign(<T>(work: () => T) => Promise.resolve(work()), { state: 'open' });
    const { race: rich, clock: later } = setUp({ after: '1s' });
    const third = taking('c', later, 10);
    const outcome = rich([taking('a', later, 5_000), { ...spare, policy: policy as never }, third]);
    await later.advance(5_000);
    expect(await outcome).toMatchObject({ step: 'c' });
    expect(spare.run).not.toHaveBeenCalled();
  });

  it('begins with the first backend whose breaker is not open', async () => {
    const { race, clock } = setUp({ after: '1s' });
    const policy = Object.assign(<T>(work: () => T) => Promise.resolve(work()), { state: 'open' }) as never;
    const ill = taking('a', clock, 10);
    const outcome = race([{ ...ill, policy }, taking('b', clock, 20)]);
    await clock.advance(20);
    expect(await outcome).toMatchObject({ step: 'b', hedged: false });
    expect(ill.run).not.toHaveBeenCalled();
  });

  it('ends both with the caller who leaves', async () => {
    const { race, clock, events } = setUp({ after: '1s' });
    const caller = new AbortController();
    const [a, b] = [taking('a', clock, 60_000), taking('b', clock, 60_000)];
    const outcome = race([a, b], { signal: caller.signal });
    outcome.catch(() => {});
    await clock.advance(1_000);
    const reason = new Error('closed the tab');
    caller.abort(reason);
    await expect(outcome).rejects.toBe(reason);
    expect([reasonsOf(a), reasonsOf(b)]).toEqual([[reason], [reason]]);
    await clock.settle();
    expect(events.map(({ outcome: each }) => each)).toEqual(['aborted', 'aborted']);
  });

  it('ends both at the deadline of the call', async () => {
    const { race, clock } = setUp({ after: '1s' });
    const outcome = runInContext({ deadline: 2_000 }, () =>
      race([taking('a', clock, 60_000), taking('b', clock, 60_000)]),
    );
    outcome.catch(() => {});
    await clock.advance(2_000);
    await expect(outcome).rejects.toMatchObject({ code: 'WP_DEADLINE' });
  });

  it('races streams to their first chunk, and closes the loser’s', async () => {
    const { race, clock } = setUp({ after: '1s' });
    const closed: string[] = [];
    const streaming = (name: string, ms: number): Step<BegunStream<string>> => ({
      name,
      run: firstChunk(
        async function* () {
          try {
            await wait(clock, ms);
            yield `${name} 1`;
            yield `${name} 2`;
          } finally {
            closed.push(name);
          }
        },
        { clock },
      ),
    });
    const outcome = race([streaming('a', 3_000), streaming('b', 500)]);
    await clock.advance(1_500);
    const { value } = await outcome;
    expect(value).toBeInstanceOf(BegunStream);
    expect(await Array.fromAsync(value)).toEqual(['b 1', 'b 2']);
    await clock.advance(3_000);
    expect(closed).toEqual(['b', 'a']);
  });

  it('ends the stream of the second that comes in the same turn as the first', async () => {
    const { race, clock, events } = setUp({ after: '1s' });
    const streams: BegunStream<number>[] = [];
    const go = Promise.withResolvers<void>();
    const step = (name: string): Step<BegunStream<number>> => ({
      name,
      async run(call) {
        const stream = await firstChunk(async function* () {
          yield 1;
        })(call);
        streams.push(stream);
        await go.promise;
        return stream;
      },
    });
    const outcome = race([step('a'), step('b')]);
    await clock.advance(1_000);
    go.resolve();
    expect((await outcome).value).toBe(streams[0]);
    expect(await streams[1]?.ended).toMatchObject({ outcome: 'left', chunks: 0 });
    await clock.settle();
    expect(events).toHaveLength(2);
  });

  it('asks the second in the AsyncLocalStorages of its own caller', async () => {
    const { race, clock } = setUp({ after: '1s' });
    const user = new AsyncLocalStorage<string>();
    const ask = (name: string) =>
      user.run(name, () =>
        race([
          { name: 'a', run: () => new Promise<never>(() => {}) },
          { name: 'b', run: () => user.getStore() },
        ]),
      );
    const outcomes = Promise.all([ask('alice'), ask('bob')]);
    await clock.advance(1_000);
    expect((await outcomes).map(({ value }) => value)).toEqual(['alice', 'bob']);
  });

  it('calls a step that ran out of its time failed, not aborted', async () => {
    const { race, clock, events } = setUp();
    const outcome = race([{ ...taking('a', clock, 60_000), timeout: '1s' }]);
    outcome.catch(() => {});
    await clock.advance(1_000);
    await expect(outcome).rejects.toMatchObject({ code: 'WP_DEADLINE' });
    expect(events).toMatchObject([{ outcome: 'failed', ms: 1_000 }]);
  });

  it('refuses bad options', async () => {
    expect(() => hedge({ after: 0 })).toThrow("'after'");
    expect(() => hedge({ delay: 5 } as never)).toThrow("'delay'");
    await expect(hedge()([])).rejects.toThrow("'steps'");
  });
});
