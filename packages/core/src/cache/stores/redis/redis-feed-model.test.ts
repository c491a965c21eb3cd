import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type FeedProcess, feedsSetUp, keys } from '../../../../test/simulated-feeds.js';
import { seededRandom } from '../../../kernel/index.js';
import { parseBusMessage } from './bus-message.js';

const clumsy = {
  delayMs: [0.1, 20],
  fails: 0.02,
  hangs: 0.02,
  cuts: 0.02,
  loses: 0.05,
  duplicates: 0.05,
  delays: 0.05,
  unawareMs: [0, 2_000],
} as const;

/** What one feed was told, and when it last said that it cannot tell. */
class Listener {
  readonly process: FeedProcess;
  readonly told = new Set<string>();
  gapAt = Number.NEGATIVE_INFINITY;
  silentMs = 0;

  constructor(process: FeedProcess) {
    this.process = process;
  }

  listen(now: number): void {
    const news = this.process.feed.poll();
    if (news === 'gap') this.gapAt = now;
    else for (const each of news ?? []) if ('keys' in each) for (const key of each.keys) this.told.add(key);
    this.silentMs = this.process.feed.silentMs?.() ?? 0;
  }
}

/** Processes that tell each other of keys through a Redis in trouble. */
async function run(seed: number): Promise<void> {
  const { clock, advance, redis, process } = feedsSetUp(seed, (seed & 3) === 0 ? 3 : 1);
  const random = seededRandom(~seed);
  const chance = (of: number): boolean => random() < of;
  const done: { readonly key: string; readonly at: number; readonly publisher: string }[] = [];
  const listeners = [0, 1, 2].map(() => new Listener(process(clumsy)));
  for (const server of redis.servers) {
    server.subscribe(keys.channel, (text) => {
      const message = parseBusMessage(text);
      if (message?.type !== 'invalidated' || !('keys' in message.invalidation)) return;
      const { publisher, invalidation } = message;
      for (const key of invalidation.keys) done.push({ key, at: clock.now(), publisher });
    });
  }
  const check = (): void => {
    const now = clock.now();
    for (const listener of listeners) {
      listener.listen(now);
      const missed = done.find(
        ({ key, at, publisher }) =>
          at < now - listener.silentMs &&
          listener.gapAt < at &&
          publisher !== listener.process.publisher &&
          !listener.told.has(key),
      );
      if (!missed) continue;
      expect.unreachable(`${listener.process.publisher} has not heard of ${missed.key} at ${now}, seed ${seed}`);
    }
  };
  let next = 0;
  for (let step = 0; step < 100; step++) {
    const { port, tell } = listeners[Math.floor(random() * 3)]?.process ?? expect.unreachable();
    if (chance(0.5)) void tell({ type: 'delete', keys: [`key ${next++}`] }).catch(() => {});
    if (chance(0.02)) port.cut(chance(0.5) ? 'messages' : 'all');
    for (const server of redis.servers) {
      if (chance(0.01)) server.restart(chance(0.3) ? 'everything' : { commands: Math.floor(random() * 8) });
      if (chance(0.01)) server.freeze();
      if (chance(0.2)) server.thaw();
      if (chance(0.005)) server.evict(1);
      if (chance(0.01)) server.crash();
      if (!server.isAnswering && chance(0.2)) server.restart({ commands: 0 });
    }
    await advance(chance(0.1) ? random() * 2_000 : random() * 40);
    check();
  }
  for (const { process: each } of listeners) {
    each.port.faults = { ...each.port.faults, fails: 0, hangs: 0, cuts: 0, loses: 0, duplicates: 0, delays: 0 };
  }
  for (const server of redis.servers) {
    server.thaw();
    if (!server.isAnswering) server.restart({ commands: 0 });
  }
  await advance(10_000);
  await Promise.all([listeners[0]?.process.tell({ type: 'clear' }), advance(10_000)]); // where there were no versions left
  check();
  for (const { silentMs } of listeners) expect(silentMs).toBeLessThan(1_100);
  for (const { process: each } of listeners) each.feed.close();
}

it('tells each invalidation or a gap after it, and never claims to know what it does not', async () => {
  await fc.assert(fc.asyncProperty(fc.nat(), run), { numRuns: 200, endOnFailure: true });
});
