import { describe, expect, it, vi } from 'vitest';
import { createFakeClock } from '../testing/index.js';
import { createExecutor } from './index.js';

function setup() {
  const clock = createFakeClock();
  return { clock, executor: createExecutor({ clock, maxConcurrent: 1 }) };
}

describe('close', () => {
  it('takes no more and waits for what was accepted', async () => {
    const { executor, clock } = setup();
    const first = Promise.withResolvers<string>();
    const all = [executor.run(() => first.promise), executor.run(() => 'waited')];
    const closed = executor.close();
    expect(executor.close()).toBe(closed);
    await expect(executor.run(() => {})).rejects.toMatchObject({ code: 'WP_CLOSED' });
    first.resolve('ran');
    expect(await Promise.all(all)).toEqual(['ran', 'waited']);
    await closed;
    expect([clock.pending, executor.stats().refused]).toEqual([0, 1]);
  });

  it('gives up what is not over after 5 s', async () => {
    const { executor, clock } = setup();
    let signal: AbortSignal | undefined;
    const running = executor.run((call) => {
      signal = call.signal;
      return new Promise<void>(() => {});
    });
    const never = vi.fn();
    const both = Promise.allSettled([running, executor.run(never)]);
    const closed = executor.close();
    await clock.advance(4_999);
    expect(signal?.aborted).toBe(false);
    await clock.advance(1);
    await closed;
    expect(await both).toMatchObject([{ reason: { code: 'WP_CLOSED' } }, { reason: { code: 'WP_CLOSED' } }]);
    expect(signal?.reason).toMatchObject({ code: 'WP_CLOSED' });
    expect(never).not.toHaveBeenCalled();
    expect(clock.pending).toBe(0);
  });
});
