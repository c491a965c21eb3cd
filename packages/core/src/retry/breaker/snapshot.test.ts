import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../../testing/index.js';
import { type BreakerOptions, type BreakerPolicy, type BreakerSnapshot, breaker } from './index.js';

const wall = Date.UTC(2026, 0, 1);

/** A breaker in a process that has been up for so long. */
async function processAt(options: BreakerOptions, upMs: number, wallMs = wall) {
  const clock = createFakeClock(wallMs - upMs);
  await clock.advance(upMs);
  return { clock, policy: breaker({ name: 'gpt', clock, random: () => 0, ...options }) };
}

function told(policy: BreakerPolicy, outcomes: string): void {
  for (const each of outcomes) policy.record({ ok: each === '+' });
}

/** Over the wire and back. */
const sent = (snapshot: BreakerSnapshot): BreakerSnapshot => JSON.parse(JSON.stringify(snapshot));

describe('a breaker that is saved', () => {
  it('goes on with the rest of its pause in another process', async () => {
    const { policy } = await processAt({}, 100);
    told(policy, '-----');
    const other = await processAt({}, 77_777, wall + 4_000);
    other.policy.restore(sent(policy.save()));
    expect(other.policy.stats()).toMatchObject({ state: 'open', pauseLeftMs: 6_000 });
    await expect(other.policy(() => 1)).rejects.toThrow('5 calls in a row have failed');
    await other.clock.advance(6_000);
    expect(other.policy.state).toBe('half-open');
    told(other.policy, '--');
    expect(other.policy.stats().pauseLeftMs).toBe(20_000);
  });

  it.each<[string, BreakerOptions]>([
    ['a while', {}],
    ['calls', { window: { calls: 9 } }],
  ])('opens on what was counted here and there, in a window of %s', async (_, options) => {
    const here = await processAt({ ...options, consecutive: 99, minCalls: 9 }, 5_000);
    told(here.policy, '++-+-+--');
    const there = await processAt({ ...options, consecutive: 99, minCalls: 9 }, 123_456);
    there.policy.restore(sent(here.policy.save()));
    expect(there.policy.stats()).toMatchObject({ state: 'closed', calls: 8, failures: 4, consecutive: 2 });
    told(there.policy, '-');
    expect(there.policy.state).toBe('open');
  });

  it.each([
    [19_999, 40_000],
    [20_000, 10_000],
  ])('remembers its last pause for as long as that was: %i ms later it pauses %i ms', async (passedMs, pauseMs) => {
    const here = await processAt({ probes: 1 }, 0);
    told(here.policy, '-----');
    await here.clock.advance(10_000);
    told(here.policy, '-');
    await here.clock.advance(20_000);
    told(here.policy, '+');
    await here.clock.advance(5_000);
    const there = await processAt({ probes: 1 }, 1e6, wall + 30_000 + passedMs);
    there.policy.restore(sent(here.policy.save()));
    told(there.policy, '-----');
    expect(there.policy.stats().pauseLeftMs).toBe(pauseMs);
  });

  it('lets outcomes grow old while nobody has it', async () => {
    const here = await processAt({}, 5_000);
    told(here.policy, '--');
    await here.clock.advance(6_000);
    told(here.policy, '+');
    const saved = sent(here.policy.save());
    const seen: number[] = [];
    for (const passedMs of [0, 23_000, 24_000, 29_000, 30_000]) {
      const there = await processAt({}, 300_000, wall + 6_000 + passedMs);
      there.policy.restore(saved);
      seen.push(there.policy.stats().calls);
    }
    expect(seen).toEqual([3, 1, 1, 0, 0]);
  });

  it('is not older than new after the wall clock has gone back', async () => {
    const here = await processAt({}, 0);
    told(here.policy, '-----');
    const there = await processAt({}, 0, wall - 3_600_000);
    there.policy.restore(sent(here.policy.save()));
    expect(there.policy.stats().pauseLeftMs).toBe(10_000);
  });

  it('is tried again at once when it was being tried', async () => {
    const here = await processAt({}, 0);
    told(here.policy, '-----');
    await here.clock.advance(10_000);
    void here.policy(() => new Promise(() => {}));
    const there = await processAt({}, 0, wall + 10_000);
    there.policy.restore(sent(here.policy.save()));
    expect(there.policy.stats()).toMatchObject({ state: 'half-open', pauseLeftMs: 0 });
    expect(await there.policy(() => 'ok')).toBe('ok');
  });

  it('is held open in the other process too', async () => {
    const here = await processAt({}, 0);
    here.policy.open();
    const there = await processAt({}, 0, wall + 1e9);
    there.policy.restore(sent(here.policy.save()));
    expect(there.policy.stats().pauseLeftMs).toBe(Number.POSITIVE_INFINITY);
  });

  it('leaves out the outcomes of a window of another kind', async () => {
    const windows = [{ calls: 20 }, '30s', '10s'] as const;
    for (const [from, to] of [
      [0, 1],
      [1, 0],
      [1, 2],
    ] as const) {
      const here = await processAt({ window: windows[from] }, 0);
      told(here.policy, '---');
      const there = await processAt({ window: windows[to] }, 0);
      there.policy.restore(sent(here.policy.save()));
      expect(there.policy.stats()).toMatchObject({ calls: 0, consecutive: 3 });
    }
  });

  it('pauses as ever, whatever the last pause is said to have been', async () => {
    const { policy } = await processAt({}, 0);
    policy.open();
    const cause = { why: 'probes', calls: 1, failures: 1, slow: 0 } as const;
    policy.restore({ ...policy.save(), cause });
    expect(policy.state).toBe('half-open');
    told(policy, '--');
    expect(policy.stats().pauseLeftMs).toBe(20_000);
  });

  it('ends what was under way before', async () => {
    const { policy } = await processAt({}, 0);
    const { promise, reject } = Promise.withResolvers<never>();
    const outcome = policy(() => promise);
    policy.restore(policy.save());
    reject(new Error('x'));
    await expect(outcome).rejects.toThrow('x');
    expect(policy.stats().calls).toBe(0);
  });

  const good = { version: 1, savedAt: 0, state: 'closed', pauseMs: 0, pauseLeftMs: 0, closedForMs: 0, consecutive: 0 };
  const window = { outcomes: '' };
  it.each<[unknown, RegExp]>([
    ['text', /'options' must be an object/],
    [{ ...good, window, version: 2 }, /'version' must be one of 1, got 2/],
    [good, /'window' must be/],
    [{ ...good, window: { outcomes: '014' } }, /'window' must be/],
    [{ ...good, window: { bucketMs: 1, intoMs: 0, buckets: [[1, 2, 0]] } }, /'window' must be/],
    [{ ...good, window: { bucketMs: 1, intoMs: 0, buckets: Array(10).fill([1, 2, 0]) } }, /'window' must be/],
    [{ ...good, window, state: 'open' }, /'cause' must be there if and only if 'state' is 'open', got undefined/],
    [{ ...good, window, state: 'open', cause: { why: 'so' } }, /'cause' must be why it has opened/],
    [{ ...good, window, pauseLeftMs: -1 }, /'pauseLeftMs' must be a number from 0 up, got -1/],
    [{ ...good, window, extra: 1 }, /there is no option 'extra'/],
  ])('is not taken from what is no snapshot (%#)', async (snapshot, message) => {
    const { policy } = await processAt({}, 0);
    expect(() => policy.restore(snapshot as BreakerSnapshot)).toThrow(message);
  });
});
