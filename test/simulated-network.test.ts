import { describe, expect, it } from 'vitest';
import { bumpScript, openScript } from '../packages/core/src/cache/stores/redis/scripts.js';
import { parseVersions } from '../packages/core/src/cache/stores/redis/versions.js';
import { seededRandom } from '../packages/core/src/kernel/index.js';
import { SimulatedClock } from '../packages/core/test/simulated-clock.js';
import type { NetworkFaults } from '../packages/core/test/simulated-link.js';
import { SimulatedRedis } from '../packages/core/test/simulated-redis.js';

const forever = new AbortController().signal;
const channel = '{v}bus';
const epoch = 'epoch';

/** 1 where the epoch begins, 0 where it has not. */
function numberIn(versions: Buffer | string | null): number {
  return parseVersions(versions)?.seq ?? 0;
}

function setUp(faults: Partial<NetworkFaults> = {}, { seed = 5, servers = 1 } = {}) {
  const clock = new SimulatedClock();
  const redis = new SimulatedRedis({ clock, random: seededRandom(seed), servers });
  const port = redis.connect({ delayMs: [1, 10], ...faults });
  /** @returns the number of the invalidation, or why there is none */
  const bump = async (signal = forever, key = '{v}'): Promise<number | string> => {
    const args = [epoch, channel, 'me', 'delete', '["a"]', '1000'];
    return port.run(bumpScript, [key], args, signal).then(
      (answer) => numberIn(String(answer)),
      (error: Error) => error.message,
    );
  };
  const advance = (ms: number): Promise<void> => clock.runUntil(clock.now() + ms);
  const after = async <T>(ms: number, work: Promise<T>): Promise<T | 'nothing'> => {
    let result: T | 'nothing' = 'nothing';
    void work.then((value) => {
      result = value;
    });
    await advance(ms);
    return result;
  };
  const seqOn = (key = '{v}'): number => numberIn(redis.serverOf(key).get(key));
  const many = (count: number): Promise<(number | string)[]> =>
    Promise.all(Array.from({ length: count }, () => bump()));
  return { clock, redis, server: redis.serverOf('{v}'), port, bump, many, advance, after, seqOn };
}

describe('the simulated network', () => {
  it('keeps the order of what is sent over one connection, and of what comes back', async () => {
    const { many, after } = setUp();
    expect(await after(100, many(20))).toEqual(Array.from({ length: 20 }, (_, index) => index + 2));
  });

  it('gives the same run for the same seed', async () => {
    const faulty = { fails: 0.2, cuts: 0.2, loses: 0.2, delays: 0.2 };
    const run = async (): Promise<unknown> => {
      const { port, many, after, clock } = setUp(faulty);
      const heard: unknown[] = [];
      const hear = (text: string): void => void heard.push([text, clock.now()]);
      port.subscribe(channel, { onMessage: hear, onSubscribed: () => hear('+'), onLost: () => hear('-') });
      return [await after(500, many(5)), await after(500, many(5)), heard];
    };
    expect(await run()).toEqual(await run());
  });

  it('cuts calls that were executed, were not, and are executed when their senders have given them up', async () => {
    const seen = { before: 0, after: 0, never: 0 };
    for (let seed = 0; seed < 100; seed++) {
      const { port, bump, after, advance, seqOn } = setUp({}, { seed });
      const call = bump();
      await advance(5);
      const isBefore = seqOn() > 0;
      port.cut();
      expect(['The connection was lost.', ...(isBefore ? [2] : [])]).toContain(await call);
      expect(await bump()).toBe('There is no connection.');
      await advance(10);
      seen[isBefore ? 'before' : seqOn() > 0 ? 'after' : 'never']++;
      await advance(500);
      expect(await after(20, bump())).toBe(seqOn());
    }
    expect(Math.min(seen.before, seen.after, seen.never)).toBeGreaterThan(10);
  });

  it('lets calls hang until they are aborted', async () => {
    const { bump, after } = setUp({ hangs: 1 });
    const abort = new AbortController();
    const call = bump(abort.signal);
    expect(await after(60_000, call)).toBe('nothing');
    abort.abort(new Error('enough'));
    expect(await call).toBe('enough');
  });

  it('freezes a server, which does everything later', async () => {
    const { server, many, after } = setUp();
    server.freeze();
    const calls = many(3);
    expect(await after(1_000, calls)).toBe('nothing');
    server.thaw();
    expect(await after(100, calls)).toEqual([2, 3, 4]);
  });

  it('restarts a server without what it last did, and forgets what is on its way to it', async () => {
    const { server, many, after, seqOn } = setUp();
    await after(100, many(5));
    const lost = many(1);
    server.restart({ commands: 2 });
    expect(await after(1_000, lost)).toEqual(['The connection was lost.']);
    expect(seqOn()).toBe(4);
    server.restart('everything');
    expect(server.keyspace.keys()).toEqual([]);
  });

  it('lets each preparation of a server come before the calls that follow, once for each run of it', async () => {
    const { server, port, many, advance, after, seqOn } = setUp();
    const done: string[] = [];
    const prepare = (name: string) => async (runId: string) => {
      await port.run(openScript, ['{v}'], [epoch], forever);
      done.push(`${name} ${runId} ${seqOn()}`);
    };
    port.onServer(prepare('one'));
    port.onServer(prepare('two'));
    const before = server.runId;
    expect(await after(100, many(2))).toEqual([2, 3]);
    expect(done.splice(0)).toEqual([`one ${before} 1`, `two ${before} 1`]);
    port.onServer(prepare('late'));
    expect(await after(100, many(1))).toEqual([4]);
    expect(done.splice(0)).toEqual([`late ${before} 3`]);
    port.cut();
    await advance(600);
    expect(await after(100, many(1))).toEqual([5]);
    expect(done).toEqual([]);
    server.restart('everything');
    await advance(600);
    expect(await after(100, many(1))).toEqual([2]);
    expect(done).toEqual(['one', 'two', 'late'].map((name) => `${name} ${server.runId} 1`));
  });

  it('has a clock of its own at each server', async () => {
    const { server } = setUp();
    server.keyspace.set('a', Buffer.from('1'), 1_000);
    server.aheadMs = 999;
    expect(server.get('a')).not.toBe(null);
    server.aheadMs = 1_000;
    expect(server.get('a')).toBe(null);
  });

  it('spreads slots over a cluster, which keeps no order between them and takes no call for several', async () => {
    const { redis, port, bump, after } = setUp({}, { servers: 3 });
    const keys = Array.from({ length: 30 }, (_, index) => `x{${index}}y`);
    expect(new Set(keys.map((key) => redis.serverOf(key))).size).toBe(3);
    const landed: (number | string)[] = [];
    const calls = keys.map(async (key, index) => {
      await bump(forever, key);
      landed.push(index);
    });
    await after(100, Promise.all(calls));
    expect(landed).toHaveLength(30);
    expect(landed).not.toEqual(landed.toSorted((one, other) => Number(one) - Number(other)));
    const values = await after(100, port.getMany(keys, forever));
    expect(values).toEqual(keys.map((key) => redis.serverOf(key).get(key)));
    await expect(port.run(openScript, ['{a}', '{b}'], [epoch], forever)).rejects.toThrow('CROSSSLOT');
  });
});
