import { describe, expect, it } from 'vitest';
import { altered, bodies, counting, older, start } from '../../../test/http-cache-set-up.js';
import { systemClock } from '../../kernel/index.js';
import { chaosStore, memoryStore } from '../../testing/index.js';

describe('a store in trouble', () => {
  const fresh = { 'cache-control': 'max-age=60' };

  it.each(['reject', 'throw', 'hang', 'full'] as const)('is a miss and no error: %s', async (trouble) => {
    const store = chaosStore(memoryStore(), { clock: systemClock });
    const gateway = await start(store, counting(fresh), { storeTimeout: 20 });
    store.trouble(trouble);
    expect(await bodies(gateway, {}, {})).toEqual(['answer 1', 'answer 2']);
    store.trouble(undefined);
    expect(await bodies(gateway, {}, {})).toEqual(['answer 3', 'answer 3']);
  });

  it('is left alone after a while, so that it costs nobody its deadline', async () => {
    const store = chaosStore(memoryStore(), { clock: systemClock });
    const gateway = await start(store, counting(fresh));
    store.trouble('reject');
    for (let count = 0; count < 20; count++) await gateway.ask();
    expect(store.calls.length).toBeLessThan(8);
  });

  it('gives nothing that it could not forget', async () => {
    const store = chaosStore(memoryStore(), { clock: systemClock });
    const gateway = await start(store, counting(fresh));
    expect(await bodies(gateway, {}, {})).toEqual(['answer 1', 'answer 1']);
    store.trouble('reject', 'invalidate');
    await gateway.ask({ method: 'PUT' });
    expect(await bodies(gateway, {}, {})).toEqual(['answer 3', 'answer 4']);
    store.trouble(undefined, 'invalidate');
    expect(await bodies(gateway, {}, {})).toEqual(['answer 5', 'answer 5']);
  });

  it('is told of all that is to be forgotten, also of what comes while it is being told', async () => {
    const store = chaosStore(memoryStore(), { clock: systemClock });
    const gateway = await start(store, counting(fresh));
    const paths = ['/a', '/b', '/c'].map((path) => ({ path }));
    await bodies(gateway, ...paths);
    store.trouble(5, 'invalidate');
    await Promise.all(paths.map(async (each) => gateway.ask({ ...each, method: 'PUT' })));
    const peer = await gateway.peer();
    expect(await bodies(peer, ...paths)).toEqual(['answer 7', 'answer 8', 'answer 9']);
  });

  it('is told to forget everything once it owes more than can be remembered', async () => {
    const store = chaosStore(memoryStore(), { clock: systemClock });
    const gateway = await start(store, (req, res) => {
      const at = gateway.asked.length;
      if (req.method === 'PUT') res.writeHead(204, { location: `/l${at}`, 'content-location': `/c${at}` }).end();
      else res.writeHead(200, fresh).end(`answer ${at}`);
    });
    expect(await bodies(gateway, {}, {})).toEqual(['answer 1', 'answer 1']);
    store.trouble('reject', 'invalidate');
    for (let count = 0; count < 400; count++) await gateway.ask({ method: 'PUT', path: `/of/${count}` });
    store.trouble(undefined, 'invalidate');
    for (let last = '', text = '-'; text !== last; ) [last, text] = [text, (await gateway.ask()).text];
    expect(store.calls).toContain('invalidate clear');
  });

  it.each<[string, (bytes: Uint8Array) => Uint8Array]>([
    ['cut off', (bytes) => bytes.subarray(0, -3)],
    ['of a bit that has turned', (bytes) => bytes.map((byte, at) => (at === 40 ? byte ^ 1 : byte))],
    ['foreign', () => Buffer.from('not ours at all')],
    ['empty', () => new Uint8Array()],
    ['whole by its checksum, but of other bytes', () => Buffer.from('WPR1')],
  ])('that gives back bytes is a miss when they are %s', async (_what, damage) => {
    const gateway = await start(altered(memoryStore(), damage), counting(fresh));
    expect(await bodies(gateway, {}, {})).toEqual(['answer 1', 'answer 2']);
  });

  it('that keeps a response too long does not bring it back', async () => {
    const gateway = await start(altered(memoryStore(), older(3_600_000)), counting(fresh));
    expect(await bodies(gateway, {}, {})).toEqual(['answer 1', 'answer 2']);
  });
});
