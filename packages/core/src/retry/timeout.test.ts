import { getEventListeners } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { currentContext, runInContext, runOutside, wholeDeadlineOf } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { type AttemptCall, retry, timeout, wrap } from './index.js';

const forever = () => new Promise<never>(() => {});

it('says until when the whole call may last, beside until when the attempt may', async () => {
  const clock = createFakeClock();
  const now = clock.now();
  const seen = wrap(retry({ clock, timeout: '3s' }), timeout({ after: '1s', clock }));
  const look = () => seen(() => [currentContext()?.deadline, wholeDeadlineOf(currentContext())]);
  expect(await look()).toEqual([now + 1_000, Number.POSITIVE_INFINITY]);
  expect(await runInContext({ deadline: now + 9_000 }, look)).toEqual([now + 1_000, now + 9_000]);
  expect(await runInContext({ deadline: now + 500 }, look)).toEqual([now + 500, now + 500]);
  const inside = () => seen(() => runInContext({ deadline: now + 2_000 }, () => wholeDeadlineOf(currentContext())));
  expect(await inside()).toBe(now + 2_000);
});

describe('timeout', () => {
  it('gives the value of what ends in time, also of what is no promise, and leaves no timer', async () => {
    const clock = createFakeClock();
    const policy = timeout({ after: '1s', clock });
    expect(await policy(() => 'at once')).toBe('at once');
    expect(await policy(async () => 'soon')).toBe('soon');
    await expect(
      policy(() => {
        throw new Error('thrown');
      }),
    ).rejects.toThrow('thrown');
    expect(clock.pending).toBe(0);
  });

  it('aborts the signal and lets the caller go at once, whether or not the work listens', async () => {
    const clock = createFakeClock();
    let seen: AbortSignal | undefined;
    const outcome = timeout({ after: '1s', name: 'slow', clock })(({ signal }) => {
      seen = signal;
      return forever();
    });
    outcome.catch(() => {});
    await clock.advance(999);
    expect(seen?.aborted).toBe(false);
    await clock.advance(1);
    await expect(outcome).rejects.toMatchObject({ code: 'WP_DEADLINE', details: { timeoutMs: 1_000 } });
    await expect(outcome).rejects.toThrow("'slow' took longer than the 1000 ms that it has.");
    expect(seen?.reason).toMatchObject({ code: 'WP_DEADLINE' });
    expect(clock.pending).toBe(0);
  });

  it('gives a signal that was not looked at in time as an aborted one', async () => {
    const clock = createFakeClock();
    let late: AttemptCall | undefined;
    const outcome = timeout({ after: '1s', clock })((call) => {
      late = call;
      return forever();
    });
    outcome.catch(() => {});
    await clock.advance(1_000);
    expect(late?.signal.reason).toMatchObject({ code: 'WP_DEADLINE' });
  });

  it('never lasts longer than the deadline of the call, and begins nothing after it', async () => {
    const clock = createFakeClock();
    const work = vi.fn(forever);
    const policy = timeout({ after: '10s', clock });
    const outcome = runInContext({ deadline: 300 }, () => policy(work));
    outcome.catch(() => {});
    await clock.advance(300);
    await expect(outcome).rejects.toMatchObject({ code: 'WP_DEADLINE', details: { timeoutMs: 300 } });
    await expect(runInContext({ deadline: 300 }, () => policy(work))).rejects.toMatchObject({ code: 'WP_DEADLINE' });
    expect(work).toHaveBeenCalledTimes(1);
  });

  it('tells the work inside how long there is', async () => {
    const clock = createFakeClock();
    const policy = wrap(timeout({ after: '10s', clock }), timeout({ after: '1s', clock }));
    expect(await policy(() => currentContext()?.deadline)).toBe(1_000);
    const outer = wrap(timeout({ after: '1s', clock }), timeout({ after: '10s', clock }));
    expect(await outer(() => currentContext()?.deadline)).toBe(1_000);
    expect(clock.pending).toBe(0);
  });

  it('has one timer for many calls', async () => {
    const clock = createFakeClock();
    const policy = timeout({ after: '1s', clock });
    const calls = Promise.allSettled(Array.from({ length: 1_000 }, () => policy(forever)));
    expect(clock.pending).toBe(1);
    await clock.advance(1_000);
    const ends = await calls;
    expect(ends.every(({ status }) => status === 'rejected')).toBe(true);
  });
});

describe('an attempt inside another', () => {
  it('ends with the one outside, and leaves nothing behind', async () => {
    const clock = createFakeClock();
    const caller = new AbortController();
    const policy = wrap(retry({ clock, timeout: '10s' }), timeout({ after: '5s', clock }));
    let seen: AbortSignal | undefined;
    const outcome = policy(
      ({ signal }) => {
        seen = signal;
        return forever();
      },
      { signal: caller.signal },
    );
    outcome.catch(() => {});
    expect(clock.pending).toBe(1);
    const reason = new Error('closed the tab');
    caller.abort(reason);
    await expect(outcome).rejects.toBe(reason);
    expect(seen?.reason).toBe(reason);
    expect(clock.pending).toBe(0);
    expect(getEventListeners(caller.signal, 'abort').filter((each) => each.name !== '')).toHaveLength(0);
  });

  it('is aborted by a policy outside that it is not wrapped in', async () => {
    const clock = createFakeClock();
    const inner = retry({ clock });
    let seen: AbortSignal | undefined;
    const outcome = timeout({ after: '1s', clock })(async () => {
      await Promise.resolve();
      return inner(({ signal }) => {
        seen = signal;
        return forever();
      });
    });
    outcome.catch(() => {});
    await clock.advance(1_000);
    expect(seen?.reason).toMatchObject({ code: 'WP_DEADLINE' });
    await expect(outcome).rejects.toMatchObject({ code: 'WP_DEADLINE' });
    expect(clock.pending).toBe(0);
  });

  it('waits for no backoff once the one outside is over', async () => {
    const clock = createFakeClock();
    const physical = vi.fn(() => Promise.reject(new Error('down')));
    const policy = wrap(
      timeout({ after: '1s', clock }),
      retry({ clock, baseDelay: '10s', random: () => 0.05, attempts: 9 }),
    );
    const outcome = policy(physical);
    outcome.catch(() => {});
    await clock.advance(1_000);
    await expect(outcome).rejects.toThrow('down'); // the next wait would end after the deadline
    expect(physical).toHaveBeenCalledTimes(2);
    expect(clock.pending).toBe(0);
  });

  it('follows the attempt that it is given where the context is another', async () => {
    const clock = createFakeClock();
    const inner = timeout({ after: '1m', clock });
    const outcome = timeout({ after: '1s', clock })((call) => runOutside(() => inner(forever, call)));
    outcome.catch(() => {});
    await clock.advance(1_000);
    await expect(outcome).rejects.toMatchObject({ code: 'WP_DEADLINE' });
    expect(clock.pending).toBe(0);
  });
});

it.each<[unknown, string]>([
  ['soon', 'after'],
  [0, 'after'],
  [{}, 'after'],
  [{ after: '1s', aftr: 1 }, 'aftr'],
])('refuses %j, naming %s', (limit, name) => {
  expect(() => timeout(limit as never)).toThrow(`'${name}'`);
});
