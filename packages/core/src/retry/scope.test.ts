import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, it, vi } from 'vitest';
import { type Clock, systemClock } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { breaker, bulkhead, type Policy, retry, timeout } from './index.js';

const forever = () => new Promise<never>(() => {});

/** The signal of work in `inner`, which stands in a timeout of 1 s without being given its attempt. */
async function signalWithin(inner: (clock: Clock) => Policy, own?: AbortSignal): Promise<AbortSignal | undefined> {
  const clock = createFakeClock();
  const policy = inner(clock);
  let seen: AbortSignal | undefined;
  const call = own && { signal: own };
  const outcome = timeout({ after: '1s', clock })(() =>
    policy(({ signal }) => {
      seen = signal;
      return forever();
    }, call),
  );
  outcome.catch(() => {});
  await clock.advance(1_000);
  return seen;
}

describe('a policy that makes no attempt of its own', () => {
  const policies: [string, (clock: Clock) => Policy][] = [
    ['a breaker', (clock) => breaker({ clock })],
    ['a bulkhead', (clock) => bulkhead({ clock })],
  ];

  it.each(policies)('as %s, gives its work the signal of the attempt that it stands in', async (_, inner) => {
    expect((await signalWithin(inner))?.reason).toMatchObject({ code: 'WP_DEADLINE' });
    const caller = new AbortController();
    expect((await signalWithin(inner, caller.signal))?.reason).toMatchObject({ code: 'WP_DEADLINE' });
  });

  it('as a retry in a retry, does so as well', async () => {
    const clock = createFakeClock();
    const inner = retry({ clock });
    let seen: AbortSignal | undefined;
    const outcome = retry({ clock, attempts: 1, timeout: '1s' })(() =>
      inner(({ signal }) => {
        seen = signal;
        return forever();
      }),
    );
    outcome.catch(() => {});
    await clock.advance(1_000);
    expect(seen?.reason).toMatchObject({ code: 'WP_DEADLINE' });
  });
});

describe('work that nobody waited for', () => {
  /** The outcome of work that an attempt of 1 s has begun and not waited for, `before` its own end or after it. */
  async function detached(signal: AbortSignal, isBefore: boolean) {
    const clock = createFakeClock();
    const inner = timeout({ after: '10s', clock });
    const go = Promise.withResolvers<void>();
    let outcome: Promise<never> | undefined;
    await timeout({ after: '1s', clock })(
      () => {
        outcome = isBefore ? inner(forever) : go.promise.then(() => inner(forever));
        outcome.catch(() => {});
      },
      { signal },
    );
    go.resolve();
    await clock.settle();
    return { clock, outcome };
  }

  it.each([true, false])(
    'ends in its time all the same (begun before the end of the attempt: %s)',
    async (isBefore) => {
      const { clock, outcome } = await detached(new AbortController().signal, isBefore);
      await clock.advance(1_000);
      await expect(outcome).rejects.toMatchObject({ code: 'WP_DEADLINE' });
      expect(clock.pending).toBe(0);
    },
  );

  it.each([true, false])(
    'ends with the caller who leaves (begun before the end of the attempt: %s)',
    async (isBefore) => {
      const caller = new AbortController();
      const { clock, outcome } = await detached(caller.signal, isBefore);
      await clock.advance(500);
      const reason = new Error('closed the tab');
      caller.abort(reason);
      await expect(outcome).rejects.toBe(reason);
      expect(clock.pending).toBe(0);
    },
  );

  it('lets the attempt outside go once it has ended itself', async () => {
    const clock = createFakeClock();
    const end = Promise.withResolvers<string>();
    let outcome: Promise<string> | undefined;
    await timeout({ after: '1s', clock })(() => {
      outcome = timeout({ after: '10s', clock })(() => end.promise);
    });
    expect(clock.pending).toBe(1);
    end.resolve('done');
    expect(await outcome).toBe('done');
    expect(clock.pending).toBe(0);
  });
});

it('begins nothing for a caller who leaves in the turn in which the wait ends', async () => {
  const fake = createFakeClock();
  const caller = new AbortController();
  const leaving: Clock = {
    ...fake,
    now: fake.now,
    schedule: (ms, run) =>
      fake.schedule(ms, () => {
        run();
        caller.abort();
      }),
  };
  const work = vi.fn(() => (work.mock.calls.length === 1 ? Promise.reject(new Error('down')) : forever()));
  const onEvent = vi.fn();
  const outcome = retry({ clock: leaving, random: () => 0.5, onEvent })(work, { signal: caller.signal });
  outcome.catch(() => {});
  await fake.advance(1_000);
  await expect(outcome).rejects.toMatchObject({ name: 'AbortError' });
  expect(work).toHaveBeenCalledTimes(1);
  expect(onEvent).toHaveBeenCalledTimes(1);
});

it('does not tell one caller of another’s end in that one’s AsyncLocalStorages', async () => {
  const user = new AsyncLocalStorage<string>();
  const seen: unknown[] = [];
  const policy = timeout({ after: '5ms', clock: systemClock });
  const ask = (name: string): Promise<unknown> =>
    user.run(name, () =>
      policy(({ signal }) => {
        signal.addEventListener('abort', () => seen.push(user.getStore()));
        return forever();
      }).catch(() => {}),
    );
  await Promise.all([ask('alice'), ask('bob')]);
  expect(seen).toEqual([undefined, undefined]);
});
