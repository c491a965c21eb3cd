import { describe, expect, it, vi } from 'vitest';
import { FakeNodeClient } from '../../../test/fake-node-client.js';
import { createFakeClock } from '../../testing/index.js';
import { RedisConnection } from './redis-connection.js';

function setUp() {
  const clock = createFakeClock();
  const clients: FakeNodeClient[] = [];
  const greeted: FakeNodeClient[] = [];
  const greeting = { run: async (): Promise<void> => {} };
  const onLost = vi.fn();
  const connection = new RedisConnection({
    async open() {
      const client = new FakeNodeClient();
      clients.push(client);
      return client;
    },
    async greet(client) {
      greeted.push(client as FakeNodeClient);
      await greeting.run();
    },
    onLost,
    clock,
    random: () => 0.5,
  });
  const send = (word: string, signal?: AbortSignal): Promise<string> =>
    connection.send([word], signal ? { abortSignal: signal } : {}).then(String, (error: Error) => error.message);
  const latest = async (): Promise<FakeNodeClient> => {
    await clock.advance(0);
    return clients.at(-1) ?? expect.unreachable();
  };
  const arrive = async (): Promise<FakeNodeClient> => {
    const client = await latest();
    client.arrive();
    await clock.advance(0);
    return client;
  };
  return { clock, clients, greeted, greeting, onLost, connection, send, latest, arrive };
}

describe('a connection to Redis', () => {
  it('lets what is sent at the beginning wait for the first attempt and its greeting, in order', async () => {
    const { clock, greeting, send, arrive } = setUp();
    const { promise, resolve } = Promise.withResolvers<void>();
    greeting.run = () => promise;
    const [first, late] = [send('first'), send('late', AbortSignal.abort(new Error('too late')))];
    const client = await arrive();
    expect(client.sent).toEqual([]);
    resolve();
    await clock.advance(0);
    const third = send('third');
    expect(client.sent).toEqual(['first', 'third']);
    client.answer();
    client.answer();
    expect(await Promise.all([first, late, third])).toEqual(['first done', 'too late', 'third done']);
  });

  it('fails what is sent while there is none, at once, however often it is tried in vain', async () => {
    const { clock, clients, send, latest, arrive } = setUp();
    const first = send('first');
    (await latest()).refuse();
    expect(await first).toBe('ECONNREFUSED');
    for (const delayMs of [37.5, 75, 150, 300, 600, 1_200, 1_500, 1_500]) {
      const tries = clients.length;
      expect(await send('nothing')).toBe('There is no connection to Redis: ECONNREFUSED');
      await clock.advance(delayMs - 0.5);
      expect(clients.length).toBe(tries);
      await clock.advance(0.5);
      expect(clients.length).toBe(tries + 1);
      expect(await send('nothing')).toBe('There is no connection to Redis: ECONNREFUSED'); // nor waits for a later attempt
      (await latest()).refuse();
      await clock.advance(0);
    }
    await clock.advance(1_500);
    const client = await arrive();
    void send('again');
    expect(client.sent).toEqual(['again']);
  });

  it('fails what is unanswered when it is lost, sends none of it again, and greets the next one', async () => {
    const { clock, clients, greeted, onLost, send, arrive } = setUp();
    const first = await arrive();
    const lost = send('lost');
    first.break();
    expect(await lost).toBe('ECONNRESET');
    expect(onLost).toHaveBeenCalledOnce();
    expect(await send('refused')).toBe('There is no connection to Redis: ECONNRESET');
    await clock.advance(50);
    const second = await arrive();
    expect(greeted).toEqual([first, second]);
    expect(second.sent).toEqual([]);
    first.break(); // what the old one says does not matter any more
    void send('again');
    expect(second.sent).toEqual(['again']);
    expect(clients).toHaveLength(2);
  });

  it('gives up one whose greeting fails or takes too long, and one that does not come about', async () => {
    const { clock, clients, greeting, send, arrive, latest } = setUp();
    greeting.run = () => Promise.reject(new Error('LOADING'));
    const first = send('first');
    expect((await arrive()).isOpen).toBe(false);
    expect(await first).toBe('LOADING');
    greeting.run = () => new Promise(() => {});
    await clock.advance(50);
    const slow = await arrive();
    const waiting = send('waiting');
    await clock.advance(5_000);
    expect(await waiting).toContain('took longer than the 5000 ms');
    expect(slow.isOpen).toBe(false);
    await clock.advance(100);
    const silent = await latest();
    expect(silent.isOpen).toBe(true);
    await clock.advance(5_000);
    expect(silent.isOpen).toBe(false);
    greeting.run = async () => {};
    await clock.advance(2_000);
    const client = await arrive();
    expect(clients.indexOf(client)).toBe(3);
    void send('at last');
    expect(client.sent).toEqual(['at last']);
  });

  it('gives up a server that owes an answer and says nothing, not one that is slow or asked for nothing', async () => {
    const { clock, send, arrive } = setUp();
    const client = await arrive();
    await clock.advance(60_000);
    const answers = [send('first'), send('second')];
    await clock.advance(4_000);
    client.answer();
    await clock.advance(4_000);
    answers.push(send('third'));
    expect(client.isOpen).toBe(true);
    await clock.advance(1_001);
    expect(await send('fourth')).toBe('There is no connection to Redis: it has not answered for 5000 ms');
    expect(await Promise.all(answers)).toEqual(['first done', 'destroyed', 'destroyed']);
    expect(client.isOpen).toBe(false);
  });

  it('greets again when it is told to, also while it is greeting, and lets others wait meanwhile', async () => {
    const { clock, connection, greeting, send, arrive } = setUp();
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    greeting.run = () => gates[0]?.promise ?? expect.unreachable();
    const client = await arrive();
    connection.greetAgain(async () => {
      await connection.send(['early'], {}, true);
      await gates[1]?.promise;
    });
    void send('first');
    gates[0]?.resolve();
    await clock.advance(0);
    expect(client.sent).toEqual(['early']);
    client.answer();
    await clock.advance(0);
    void send('second');
    expect(client.sent).toEqual(['early']);
    gates[1]?.resolve();
    await clock.advance(0);
    expect(client.sent).toEqual(['early', 'first', 'second']);
    connection.greetAgain(() => Promise.reject(new Error('no')));
    expect(await send('third')).toBe('no');
    expect(client.isOpen).toBe(false);
  });

  it('waits a moment for what is unanswered when it is closed, and then refuses everything', async () => {
    const { clock, clients, connection, send, arrive } = setUp();
    const client = await arrive();
    const [answered, lost] = [send('answered'), send('lost')];
    const closed = connection.close();
    client.answer();
    expect(await answered).toBe('answered done');
    expect(client.isOpen).toBe(true);
    await clock.advance(1_000);
    await closed;
    await connection.close();
    expect(await lost).toBe('destroyed');
    expect(client.isOpen).toBe(false);
    expect(await send('late')).toBe('The Redis store was used after it had been closed.');
    await clock.advance(60_000);
    expect(clients).toHaveLength(1);
  });

  it.each(['connecting', 'retrying'])('ends for good when it is closed while it is %s', async (state) => {
    const { clock, clients, connection, send, latest } = setUp();
    const first = send('first');
    const client = await latest();
    if (state === 'retrying') client.refuse();
    await clock.advance(0);
    await connection.close();
    expect(await first).toBe(
      state === 'retrying' ? 'ECONNREFUSED' : 'The Redis store was used after it had been closed.',
    );
    client.arrive();
    await clock.advance(60_000);
    expect(client.isOpen).toBe(false);
    expect(clients).toHaveLength(1);
  });
});
