import { describe, expect, it } from 'vitest';
import { FakeNodeClient } from '../../../test/fake-node-client.js';
import { createFakeClock } from '../../testing/index.js';
import { RedisSubscriptions } from './redis-subscriptions.js';

function setUp() {
  const clock = createFakeClock();
  const clients: FakeNodeClient[] = [];
  const said: string[] = [];
  const subscriptions = new RedisSubscriptions({
    async open() {
      const client = new FakeNodeClient();
      clients.push(client);
      client.arrive();
      return client;
    },
    clock,
    random: () => 0.5,
  });
  const subscribe = (channel: string, name: string): (() => void) =>
    subscriptions.subscribe(channel, {
      onMessage: (text) => said.push(`${name} heard ${text}`),
      onSubscribed: () => said.push(`${name} begins`),
      onLost: () => said.push(`${name} lost`),
    });
  const latest = async (): Promise<FakeNodeClient> => {
    await clock.advance(0);
    return clients.at(-1) ?? expect.unreachable();
  };
  /** The server confirms what it was asked for. */
  const confirm = async (): Promise<FakeNodeClient> => {
    const client = await latest();
    client.answer();
    await clock.advance(0);
    return client;
  };
  const sayings = (): string[] => said.splice(0);
  return { clock, clients, subscriptions, subscribe, latest, confirm, sayings };
}

describe('subscriptions', () => {
  it('say when they begin, what they hear and when they are lost, to all who share a channel', async () => {
    const { clock, subscribe, confirm, sayings } = setUp();
    subscribe('a', 'first');
    subscribe('a', 'second');
    const client = await confirm();
    expect(sayings()).toEqual(['first begins', 'second begins']);
    subscribe('a', 'third');
    await clock.advance(0);
    expect(sayings()).toEqual(['third begins']);
    client.channels.get('a')?.('news');
    expect(sayings()).toEqual(['first heard news', 'second heard news', 'third heard news']);
    client.break();
    expect(sayings()).toEqual(['first lost', 'second lost', 'third lost']);
    client.channels.get('a')?.('late');
    expect(sayings()).toEqual([]);
    await clock.advance(50);
    (await confirm()).channels.get('a')?.('again');
    expect(sayings().slice(0, 4)).toEqual(['first begins', 'second begins', 'third begins', 'first heard again']);
  });

  it('share one connection, which there is as long as anybody listens', async () => {
    const { clients, subscribe, confirm, latest, sayings } = setUp();
    expect(clients).toHaveLength(0);
    const leaveA = subscribe('a', 'a');
    const client = await confirm();
    const leaveB = subscribe('b', 'b');
    expect(sayings()).toEqual(['a begins']);
    await confirm();
    expect(sayings()).toEqual(['b begins']);
    leaveA();
    leaveA();
    expect([...client.channels.keys()]).toEqual(['b']);
    leaveB();
    await latest();
    expect(client.isOpen).toBe(false);
    subscribe('a', 'a');
    await confirm();
    expect(clients).toHaveLength(2);
    expect(sayings()).toEqual(['a begins']);
  });

  it('notice a connection that is dead without a word', async () => {
    const { clock, clients, subscribe, confirm, sayings } = setUp();
    subscribe('a', 'a');
    const client = await confirm();
    await clock.advance(2_000);
    expect(client.sent).toEqual(['subscribe a', 'PING']);
    client.answer();
    await clock.advance(8_000);
    expect(client.isOpen).toBe(false);
    expect(sayings()).toEqual(['a begins', 'a lost']);
    await clock.advance(50);
    expect(clients).toHaveLength(2);
  });

  it('are over once they are closed', async () => {
    const { clock, clients, subscriptions, subscribe, confirm, sayings } = setUp();
    const leave = subscribe('a', 'a');
    const client = await confirm();
    await subscriptions.close();
    leave();
    subscribe('b', 'b');
    await clock.advance(60_000);
    expect(client.isOpen).toBe(false);
    expect([clients.length, clock.pending]).toEqual([1, 0]);
    expect(sayings()).toEqual(['a begins']);
  });
});
