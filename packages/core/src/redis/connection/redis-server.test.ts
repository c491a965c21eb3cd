import { describe, expect, it } from 'vitest';
import { FakeNodeClient } from '../../../test/fake-node-client.js';
import { seededRandom } from '../../kernel/index.js';
import { createFakeClock } from '../../testing/index.js';
import { Preparations, RedisServer } from './redis-server.js';

const info = (runId: string): string => `# Server\r\nredis_version:7.0.0\r\nrun_id:${runId}\r\n`;
const script = { name: 'script', lua: 'return 1' };

function setUp() {
  const clock = createFakeClock();
  const clients: FakeNodeClient[] = [];
  const preparations = new Preparations();
  const server = new RedisServer({
    async open() {
      const client = new FakeNodeClient();
      clients.push(client);
      client.arrive();
      return client;
    },
    preparations,
    clock,
    random: seededRandom(1),
  });
  const prepared: string[] = [];
  const add = (name: string): void => {
    const prepare = async (runId: string): Promise<void> => {
      prepared.push(`${name} for ${runId}`);
      await server.send([`prepare ${name}`]);
    };
    preparations.all.add(prepare);
    server.prepare(prepare);
  };
  const run = (signal = new AbortController().signal): Promise<unknown> =>
    server.run(script, [], signal).then(undefined, (error: Error) => error.message);
  /** The connection that is there now. */
  const latest = async (): Promise<FakeNodeClient> => {
    await clock.advance(0);
    return clients.at(-1) ?? expect.unreachable();
  };
  const answer = async (...values: readonly unknown[]): Promise<FakeNodeClient> => {
    for (const value of values) {
      (await latest()).answer(value);
      await clock.advance(0);
    }
    return latest();
  };
  return { clock, server, prepared, add, run, latest, answer };
}

describe('the commands of one server', () => {
  it('wait until all is prepared, which is not waited for by what it sends itself', async () => {
    const { prepared, add, run, answer } = setUp();
    add('first');
    add('second');
    void run();
    const client = await answer(info('a'));
    expect(client.sent).toEqual(['INFO', 'prepare first', 'prepare second']);
    await answer('done', 'done');
    expect(client.sent.slice(3)).toEqual(['EVALSHA']);
    expect(prepared).toEqual(['first for a', 'second for a']);
  });

  it('wait for what is to be prepared later on as well', async () => {
    const { add, run, answer, latest } = setUp();
    const client = await answer(info('a'));
    add('late');
    void run();
    await latest();
    expect(client.sent).toEqual(['INFO', 'prepare late']);
    await answer('done');
    expect(client.sent).toEqual(['INFO', 'prepare late', 'EVALSHA']);
  });

  it('have it prepared again by another run of the server, and not by the same one', async () => {
    const { clock, prepared, add, answer, latest } = setUp();
    add('it');
    await answer(info('a'), 'done');
    for (const runId of ['a', 'b', 'b']) {
      (await latest()).break();
      await clock.advance(50);
      await answer(info(runId), 'done');
    }
    expect(prepared).toEqual(['it for a', 'it for b']);
  });

  it('are prepared on each connection where the server does not say which run it is', async () => {
    const { clock, prepared, add, answer, latest } = setUp();
    add('it');
    await answer(new Error('NOPERM no INFO for you'), 'done');
    (await latest()).break();
    await clock.advance(50);
    await answer('no run id', 'done');
    expect(prepared).toEqual([expect.stringMatching(/^it for unknown-/), expect.stringMatching(/^it for unknown-/)]);
  });

  it('are not sent on a connection on which the preparation has failed', async () => {
    const { clock, prepared, add, run, answer } = setUp();
    add('it');
    const first = run();
    const client = await answer(info('a'), new Error('LOADING'));
    expect(await first).toBe('LOADING');
    expect(client.isOpen).toBe(false);
    await clock.advance(50);
    await answer(info('a'), 'done');
    void run();
    expect(prepared).toEqual(['it for a', 'it for a']);
  });

  it('bring a script along when the server does not know it, once', async () => {
    const { run, answer } = setUp();
    await answer(info('a'));
    const known = run();
    await answer(1);
    expect(await known).toBe(1);
    const unknown = run();
    const client = await answer(new Error('NOSCRIPT No matching script.'), 2);
    expect(await unknown).toBe(2);
    expect(client.sent).toEqual(['INFO', 'EVALSHA', 'EVALSHA', 'EVAL']);
    const late = new AbortController();
    const aborted = run(late.signal);
    late.abort(new Error('too late'));
    await answer(new Error('NOSCRIPT No matching script.'));
    expect(await aborted).toBe('too late');
    expect(client.sent.slice(4)).toEqual(['EVALSHA']);
  });

  it('leave a server that has become a replica', async () => {
    const { run, answer } = setUp();
    await answer(info('a'));
    const refused = run();
    const client = await answer(new Error("READONLY You can't write against a read only replica."));
    expect(await refused).toContain('READONLY');
    expect(client.isOpen).toBe(false);
  });
});
