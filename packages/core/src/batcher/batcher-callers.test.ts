import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { double, held, setUp } from '../../test/batcher-set-up.js';
import { runInContext } from '../kernel/index.js';
import { type BatcherOptions, createBatcher } from './index.js';

describe('leaving', () => {
  it('before the batch goes takes the item out', async () => {
    const { batcher, clock, run } = setUp();
    const leaving = new AbortController();
    const left = batcher.load(1, { signal: leaving.signal });
    const stays = batcher.load(2);
    const reason = new Error('changed my mind');
    leaving.abort(reason);
    await expect(left).rejects.toBe(reason);
    await clock.advance(50);
    expect(await stays).toBe(4);
    expect(run.mock.calls.map(([items]) => items)).toEqual([[2]]);
  });

  it('as the last one before the batch goes calls nothing and leaves no timer', async () => {
    const { batcher, clock, run } = setUp();
    const leaving = new AbortController();
    const left = batcher.load(1, { signal: leaving.signal });
    leaving.abort();
    await expect(left).rejects.toMatchObject({ name: 'AbortError' });
    expect(clock.pending).toBe(0);
    const next = batcher.load(5);
    await clock.advance(50);
    expect(await next).toBe(10);
    expect(run).toHaveBeenCalledTimes(1);
  });

  it('while the call is under way rejects one alone; the last one aborts the call', async () => {
    const { run, calls } = held();
    const { batcher, clock } = setUp(run);
    const controllers = [1, 2].map(() => new AbortController());
    const loads = controllers.map(({ signal }, index) => batcher.load(index, { signal }));
    await clock.advance(50);
    controllers[0]?.abort(new Error('first'));
    await expect(loads[0]).rejects.toThrow('first');
    expect(calls[0]?.signal.aborted).toBe(false);
    const reason = new Error('second');
    controllers[1]?.abort(reason);
    await expect(loads[1]).rejects.toBe(reason);
    expect(calls[0]?.signal.reason).toBe(reason);
    calls[0]?.fail(reason);
    await clock.settle();
  });

  it('does not abort the call while somebody without a signal waits', async () => {
    const { run, calls } = held();
    const { batcher, clock } = setUp(run);
    const leaving = new AbortController();
    const left = batcher.load(1, { signal: leaving.signal });
    const stays = batcher.load(2);
    await clock.advance(50);
    leaving.abort();
    await expect(left).rejects.toThrow();
    expect(calls[0]?.signal.aborted).toBe(false);
    calls[0]?.answer([1, 2]);
    expect(await stays).toBe(2);
  });

  it('before asking is refused at once', async () => {
    const { batcher, clock } = setUp();
    await expect(batcher.load(1, { signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow('gone');
    expect(clock.pending).toBe(0);
  });

  it('comes with the context: its signal, its deadline', async () => {
    const { run, calls } = held();
    const { batcher, clock } = setUp(run);
    const request = new AbortController();
    const left = runInContext({ signal: request.signal }, () => batcher.load(1));
    const late = runInContext({ deadline: 80 }, () => batcher.load(2));
    late.catch(() => {});
    request.abort(new Error('client left'));
    await expect(left).rejects.toThrow('client left');
    await clock.advance(80);
    await expect(late).rejects.toMatchObject({ code: 'WP_DEADLINE' });
    expect(calls.map(({ items, signal }) => [items, signal.aborted])).toEqual([[[2], true]]);
    await expect(runInContext({ deadline: 80 }, () => batcher.load(3))).rejects.toMatchObject({ code: 'WP_DEADLINE' });
    calls[0]?.answer([2]);
    await clock.settle();
    expect(clock.pending).toBe(0);
  });

  it('leaves no listener on a signal that lives longer than 1,000 loads', async () => {
    const { batcher, clock } = setUp(async (items: readonly number[]) =>
      items.map((n) => (n % 2 ? new Error('odd') : n)),
    );
    const shutdown = new AbortController();
    const loads = Promise.allSettled(
      Array.from({ length: 1_000 }, (_, item) =>
        runInContext({ deadline: 1e9 }, () => batcher.load(item, { signal: shutdown.signal })),
      ),
    );
    await clock.advance(50);
    await loads;
    expect(getEventListeners(shutdown.signal, 'abort')).toHaveLength(0);
    expect(clock.pending).toBe(0);
  });
});

describe('close', () => {
  it('gives calls under way five seconds, then aborts them and rejects their items', async () => {
    const { run, calls } = held();
    const { batcher, clock } = setUp(run);
    const load = batcher.load(1);
    load.catch(() => {});
    const closing = batcher.close();
    await clock.advance(4_999);
    expect(calls[0]?.signal.aborted).toBe(false);
    await clock.advance(1);
    await closing;
    expect(calls[0]?.signal.aborted).toBe(true);
    await expect(load).rejects.toMatchObject({ code: 'WP_CLOSED' });
    expect(clock.pending).toBe(0);
  });

  it('sends what is waiting, waits for it, and refuses what comes later', async () => {
    const { run, calls } = held();
    const { batcher, clock } = setUp(run, { name: 'embed' });
    const load = batcher.load(1);
    let closed = false;
    const closing = batcher.close().then(() => {
      closed = true;
    });
    await expect(batcher.load(2)).rejects.toMatchObject({
      code: 'WP_CLOSED',
      message: expect.stringContaining('embed'),
    });
    await clock.settle();
    expect([calls.length, closed]).toEqual([1, false]);
    calls[0]?.answer([7]);
    await closing;
    expect(await load).toBe(7);
    expect(clock.pending).toBe(0);
    await batcher.close();
  });

  it('does not fail when the last call does', async () => {
    const { batcher } = setUp(() => Promise.reject(new Error('down')));
    const load = batcher.load(1);
    load.catch(() => {});
    await batcher.close();
    await expect(load).rejects.toThrow('down');
  });
});

describe('options', () => {
  it.each([
    [undefined, /loadMany\(\): option 'items' must be a list/],
    ['abc', /loadMany\(\): option 'items' must be a list/],
  ])('refuses %j as items', async (items, message) => {
    const { batcher } = setUp();
    await expect(batcher.loadMany(items as never)).rejects.toThrow(message);
    await expect(batcher.loadSettled(items as never)).rejects.toMatchObject({ code: 'WP_BAD_OPTION' });
  });

  it.each([
    [{ signal: 'x' }, /load\(\): option 'signal' must be an AbortSignal/],
    [{ signl: undefined }, /did you mean 'signal'/],
    [null, /load\(\)/],
  ])('refuses %j as a call, and nobody waits for it', async (call, message) => {
    const { batcher } = setUp();
    await expect(batcher.load(1, call as never)).rejects.toThrow(message);
    await expect(batcher.load(1, call as never)).rejects.toMatchObject({ code: 'WP_BAD_OPTION' });
    expect(batcher.stats().waiting).toBe(0);
  });

  it.each([
    [{ maxItems: 0 }, 'maxItems'],
    [{ maxItems: 2.5 }, 'maxItems'],
    [{ window: -1 }, 'window'],
    [{ name: '' }, 'name'],
    [{ size: 5 }, 'size'],
  ])('refuses %j, naming %s', (options, name) => {
    expect(() => createBatcher(double, options as BatcherOptions)).toThrow(
      expect.objectContaining({ code: 'WP_BAD_OPTION', message: expect.stringContaining(`'${name}'`) }),
    );
  });
});
