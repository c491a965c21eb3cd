import { describe, expect, it, vi } from 'vitest';
import { type FeedProcess, feedsSetUp, keys, namespace } from '../../../../test/simulated-feeds.js';
import type { Invalidation } from '../../store.js';
import { formatVersions, parseVersions, type Versions } from './versions.js';

const remove = (...keys: string[]): Invalidation => ({ type: 'delete', keys });

/** Two processes that have heard all there is, and have said so. */
async function two() {
  const setUp = feedsSetUp();
  const [ours, theirs] = [setUp.process(), setUp.process()];
  await setUp.advance(1_500);
  for (const { feed } of [ours, theirs]) feed.poll();
  /** Told, and heard by whoever can hear. */
  const tell = async ({ tell }: FeedProcess, invalidation: Invalidation): Promise<void> => {
    await Promise.all([tell(invalidation), setUp.advance(10)]);
  };
  const versions = (): Versions => parseVersions(setUp.server.get(keys.versions)) ?? expect.unreachable();
  return { ...setUp, ours, theirs, tell, versions };
}

const silence = ({ feed }: FeedProcess): number => feed.silentMs?.() ?? Number.NaN;

describe('a feed of Redis', () => {
  it('tells what others did, in order, and not what its own store did', async () => {
    const { ours, theirs, tell } = await two();
    await tell(theirs, remove('a', 'b'));
    await tell(theirs, { type: 'expire', keys: ['c'] });
    await tell(ours, remove('own'));
    await tell(theirs, { type: 'tags', tags: ['t', 'with space', '{é😀}'] });
    await tell(theirs, { type: 'clear' });
    expect(ours.feed.poll()).toEqual([
      remove('a', 'b'),
      { type: 'expire', keys: ['c'] },
      { type: 'tags', tags: ['t', 'with space', '{é😀}'] },
      { type: 'clear' },
    ]);
    expect(ours.feed.poll()).toBe(undefined);
    expect(theirs.feed.poll()).toEqual([remove('own')]);
    expect(ours.heard).toHaveLength(4);
  });

  it('tells two caches on one store object of each other', async () => {
    const { ours, advance, tell } = await two();
    const second = ours.feeds.open(namespace);
    await advance(1_500);
    await tell(ours, remove('a'));
    expect(ours.feed.poll()).toEqual([remove('a')]);
    expect(second.poll()).toEqual([remove('a')]);
  });

  it('tells the cache that is left what another one on its store object had told', async () => {
    const { ours, advance } = await two();
    const second = ours.feeds.open(namespace);
    const telling = ours.tell(remove('a'));
    second.close();
    await advance(10);
    await telling;
    expect(ours.feed.poll()).toEqual([remove('a')]);
  });

  it('begins with a gap', async () => {
    const { process, advance } = feedsSetUp();
    const { feed } = process();
    await advance(10);
    expect(feed.poll()).toBe('gap');
    expect(feed.poll()).toBe(undefined);
  });

  it('knows without a gap between that all was heard, never for longer than a probe and an answer ago', async () => {
    const { ours, theirs, tell, advance } = await two();
    for (let second = 0; second < 20; second++) {
      await advance(333);
      await tell(theirs, remove('a'));
      expect(ours.feed.poll()).toEqual([remove('a')]);
      expect(silence(ours)).toBeLessThanOrEqual(1_002);
    }
  });

  it('notices at the next message that one was lost', async () => {
    const { ours, theirs, tell } = await two();
    ours.port.faults = { ...ours.port.faults, loses: 1 };
    await tell(theirs, remove('a'));
    ours.port.faults = { ...ours.port.faults, loses: 0 };
    expect(ours.feed.poll()).toBe(undefined);
    await tell(theirs, remove('b'));
    expect(ours.feed.poll()).toBe('gap');
    await tell(theirs, remove('c'));
    expect(ours.feed.poll()).toEqual([remove('c')]);
  });

  it('notices within 1.1 s that the last message was lost, and is not silent afterwards', async () => {
    const { ours, theirs, tell, advance } = await two();
    ours.port.faults = { ...ours.port.faults, loses: 1 };
    await tell(theirs, remove('a'));
    await advance(1_100);
    expect(ours.feed.poll()).toBe('gap');
    expect(silence(ours)).toBeLessThan(1_100);
    await advance(5_000);
    expect(ours.feed.poll()).toBe(undefined);
  });

  it('notices a lost message 100 ms after a read of the store has shown its number', async () => {
    const { ours, theirs, tell, advance, versions } = await two();
    ours.port.faults = { ...ours.port.faults, loses: 1 };
    await tell(theirs, remove('a'));
    ours.feeds.asking(namespace)(versions());
    ours.feeds.asking('of no feed')(versions());
    await advance(99);
    expect(ours.feed.poll()).toBe(undefined);
    await advance(1);
    expect(ours.feed.poll()).toBe('gap');
  });

  it('waits for the message when a read was faster', async () => {
    const { ours, theirs, tell, advance, versions } = await two();
    ours.port.faults = { ...ours.port.faults, delays: 1, lateMs: [50, 50] };
    await tell(theirs, remove('a'));
    ours.feeds.asking(namespace)(versions());
    const before = silence(ours);
    await advance(60);
    expect(ours.feed.poll()).toEqual([remove('a')]);
    expect(silence(ours)).toBe(60);
    expect(before).toBeGreaterThan(60);
  });

  it.each<[string, (versions: Versions) => Versions]>([
    ['another epoch', (versions) => ({ ...versions, epoch: 'another' })],
    ['another server', (versions) => ({ ...versions, run: 'another' })],
    ['an earlier number', (versions) => ({ ...versions, seq: versions.seq - 1 })],
  ])('says gap when a read shows %s, unless it was sent before what is known', async (_, change) => {
    const { ours, theirs, tell, versions } = await two();
    const seen = ours.feeds.asking(namespace);
    const before = versions();
    await tell(theirs, remove('a'));
    seen(before);
    expect(ours.feed.poll()).toEqual([remove('a')]);
    ours.feeds.asking(namespace)(versions());
    expect(ours.feed.poll()).toBe(undefined);
    ours.feeds.asking(namespace)(change(versions()));
    expect(ours.feed.poll()).toBe('gap');
  });

  it('begins anew only with what was read after it was subscribed again', async () => {
    const { ours, advance, versions } = await two();
    const seen = ours.feeds.asking(namespace);
    ours.port.getMany = () => new Promise(() => {});
    ours.port.cut('messages');
    await advance(600);
    seen(versions());
    expect(ours.feed.poll()).toBe(undefined);
    ours.feeds.asking(namespace)(versions());
    expect(ours.feed.poll()).toBe('gap');
  });

  it('wakes those who watch a key: at its release, its invalidation, any that may be of it, and when much has happened', async () => {
    const { ours, theirs, tell, server, advance } = await two();
    const woken: string[] = [];
    const watch = (key: string, name = key) => ours.feed.watch?.(key, () => woken.push(name));
    const end = [watch('a'), watch('a', 'a too'), watch('b c')];
    const next = async (run: () => unknown): Promise<string[]> => {
      await run();
      await advance(10);
      return woken.splice(0);
    };
    expect(await next(() => server.publish(keys.channel, 'r b c'))).toEqual(['b c']);
    expect(await next(() => tell(theirs, remove('a', 'z')))).toEqual(['a', 'a too']);
    expect(await next(() => tell(ours, { type: 'expire', keys: ['b c'] }))).toEqual(['b c']);
    expect(await next(() => tell(theirs, { type: 'tags', tags: ['t'] }))).toEqual(['a', 'a too', 'b c']);
    end[0]?.();
    end[0]?.();
    expect(await next(() => tell(theirs, { type: 'clear' }))).toEqual(['a too', 'b c']);
    expect(await next(() => server.publish(keys.channel, 'unreadable'))).toEqual(['a too', 'b c', 'a too', 'b c']);
    ours.feed.close();
    expect(await next(() => tell(theirs, remove('a', 'b c')))).toEqual([]);
  });

  it('ignores what comes twice', async () => {
    const { ours, theirs, tell, advance } = await two();
    ours.port.faults = { ...ours.port.faults, duplicates: 1 };
    await tell(theirs, remove('a'));
    await advance(1_000);
    expect(ours.feed.poll()).toEqual([remove('a')]);
  });

  it('says gap, once, when it is subscribed again', async () => {
    const { ours, advance } = await two();
    ours.port.cut('messages');
    await advance(3_000);
    expect(ours.feed.poll()).toBe('gap');
    await advance(3_000);
    expect(ours.feed.poll()).toBe(undefined);
  });

  it('keeps up by reading as long as it cannot subscribe', async () => {
    const { ours, theirs, tell, advance } = await two();
    ours.port.faults = { ...ours.port.faults, reconnectMs: [60_000, 60_000] };
    ours.port.cut('messages');
    await advance(5_000);
    expect(ours.feed.poll()).toBe(undefined);
    await tell(theirs, remove('a'));
    await advance(1_000);
    expect(ours.feed.poll()).toBe('gap');
    expect(silence(ours)).toBeLessThan(1_100);
  });

  it('says gap when there is another epoch, or none', async () => {
    const { ours, theirs, tell, advance, server } = await two();
    server.evict(1);
    await tell(theirs, remove('a'));
    expect(ours.feed.poll()).toBe('gap');
    server.evict(1);
    await advance(1_100);
    expect(ours.feed.poll()).toBe('gap');
  });

  it.each(['everything', { commands: 3 }] as const)('says gap after a failover that has lost %o', async (losing) => {
    const { ours, theirs, tell, advance, server } = await two();
    for (const key of ['a', 'b', 'c', 'd']) await tell(theirs, remove(key));
    ours.feed.poll();
    server.restart(losing);
    await advance(3_000);
    expect(ours.feed.poll()).toBe('gap');
    await tell(theirs, remove('e'));
    expect(ours.feed.poll()).toEqual([remove('e')]);
  });

  it('does not take a message for the state of a server that has used its number twice', async () => {
    const { ours, theirs, tell, advance, server, versions } = await two();
    const { getMany } = ours.port;
    const gate = Promise.withResolvers<void>();
    ours.port.getMany = async (...args) => {
      await gate.promise;
      return getMany.apply(ours.port, args);
    };
    ours.port.cut('messages');
    await advance(600);
    await tell(theirs, remove('a'));
    ours.feed.poll();
    const before = versions();
    ours.port.faults = { ...ours.port.faults, unawareMs: [60_000, 60_000] };
    server.restart({ commands: 2 }); // without the deletion, and, should its time have gone back as well, with its number
    server.keyspace.set(keys.versions, Buffer.from(formatVersions({ ...before, run: server.runId })));
    gate.resolve();
    await advance(1_100);
    expect(ours.feed.poll()).toBe('gap');
  });

  it('says gap at what it cannot read', async () => {
    const { ours, advance, server } = await two();
    server.publish(keys.channel, '2 epoch1 somebody later {"of":"a version to come"}');
    await advance(10);
    expect(ours.feed.poll()).toBe('gap');
  });

  it('counts how long it has known nothing, and asks a frozen server ever more rarely', async () => {
    const { ours, advance, server } = await two();
    const reads = vi.spyOn(ours.port, 'getMany');
    server.freeze();
    await advance(3_600_000);
    expect(silence(ours)).toBeGreaterThanOrEqual(3_600_000);
    expect(reads.mock.calls.length).toBeLessThan(15);
    server.thaw();
    await advance(5_000);
    expect(silence(ours)).toBeLessThan(1_100);
    expect(ours.feed.poll()).toBe(undefined);
  });

  it('holds no more than it can tell', async () => {
    const { ours, theirs, tell } = await two();
    const many = Array.from({ length: 1_000 }, (_, index) => `key ${index}`);
    for (let message = 0; message < 10; message++) await tell(theirs, remove(...many));
    expect(ours.feed.poll()).toHaveLength(10);
    for (let message = 0; message < 11; message++) await tell(theirs, remove(...many));
    expect(ours.feed.poll()).toBe('gap');
  });

  it('says nothing and asks nothing once it is closed', async () => {
    const { ours, theirs, tell, advance } = await two();
    await tell(theirs, remove('a'));
    ours.feed.close();
    ours.feed.close();
    const reads = vi.spyOn(ours.port, 'getMany');
    await tell(theirs, remove('b'));
    await advance(10_000);
    expect(ours.feed.poll()).toBe(undefined);
    expect(reads).not.toHaveBeenCalled();
    const again = ours.feeds.open(namespace);
    ours.feed.close();
    await advance(10);
    expect(again.poll()).toBe('gap');
  });
});
